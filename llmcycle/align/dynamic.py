"""Dynamic sampling: prompts whose answers all earn the same teach nothing, so that others take their place.

Source: DAPO, arXiv:2503.14476, section 3.2. Shapes: P prompts, G answers to each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from llmcycle.align.rollouts import Rollouts, joined


class Draw(NamedTuple):
    """Answers to one batch of prompts, and of each reward by name one value an answer."""

    rollouts: Rollouts
    scores: dict[str, list[float]]


def differing(draw: Draw, group_size: int, metric: str | None) -> list[int]:
    """The places of prompts whose answers differ in the metric, or in the sum of all rewards."""
    columns = [draw.scores[metric]] if metric else list(draw.scores.values())
    sums = [sum(values) for values in zip(*columns, strict=True)]
    groups = [sums[start : start + group_size] for start in range(0, len(sums), group_size)]
    return [place for place, group in enumerate(groups) if min(group) != max(group)]


def fill(
    first: Draw, draw: Callable[[int], Draw], group_size: int, rounds: int, metric: str | None, pad_id: int
) -> tuple[Draw, int]:
    """As many prompts as `first` has, those whose answers differ before all others; and the draws that it took.

    Args:
        draw: answers to further prompts, by the number of the draw.
        rounds: draws at most, the first one counted. Prompts that are still missing then come from it as they are.
    """
    prompts = len(first.rollouts.texts) // group_size
    groups = [(first, place) for place in differing(first, group_size, metric)]
    taken = 1
    while len(groups) < prompts and taken < rounds:
        further = draw(taken)
        groups += [(further, place) for place in differing(further, group_size, metric)]
        taken += 1
    known = {place for source, place in groups if source is first}
    groups += [(first, place) for place in range(prompts) if place not in known]
    return together(groups[:prompts], group_size, pad_id), taken


def together(groups: list[tuple[Draw, int]], group_size: int, pad_id: int) -> Draw:
    """Groups of several draws as one."""
    parts = [(draw, slice(place * group_size, (place + 1) * group_size)) for draw, place in groups]
    names = groups[0][0].scores
    scores = {name: [value for draw, rows in parts for value in draw.scores[name][rows]] for name in names}
    return Draw(joined([(draw.rollouts, rows) for draw, rows in parts], pad_id), scores)
