"""What each factor of a sweep does to the result, over all values of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmcycle.report.axis import as_number, as_written
from llmcycle.report.sweep import Arm, cell, headline_of, varied

FEW = 5  # values of a number that are told one by one; more of them by thirds
Scores = Mapping[str, Sequence[float]]  # those of all arms with an override, by the override


def effects(arms: Sequence[Arm]) -> list[list[str]]:
    """Of a sweep over several factors: for each value of each one the mean over all arms that have it."""
    name = varied(arms)[-1]
    values: dict[str, dict[str, list[float]]] = {}
    for arm in arms:
        if arm.error is None and (pair := headline_of(arm, name)) is not None:
            for text in arm.words:
                values.setdefault(text.partition("=")[0], {}).setdefault(text, []).append(pair[1].value)
    factors = [in_thirds(key, scores) for key, scores in values.items() if len(scores) > 1]
    if len(factors) < 2:
        return []
    rows = [[text, str(len(scores)), cell(scores)] for factor in factors for text, scores in factor.items()]
    return [["factor", "arms", f"{name}, mean over the others"], *rows]


def in_thirds(key: str, scores: Scores) -> Scores:
    """The scores of a factor; of a number with many values those of its lower, middle and upper third."""
    numbers = {text: as_number(text.partition("=")[2]) for text in scores}
    if len(scores) <= FEW or None in numbers.values():
        return scores
    by_value: dict[float, list[float]] = {}
    for text, value in numbers.items():
        by_value.setdefault(value or 0.0, []).extend(scores[text])
    parts: dict[int, list[float]] = {}
    before, count = 0, sum(map(len, by_value.values()))
    for value in sorted(by_value):  # equal values stay together
        parts.setdefault(3 * before // count, []).append(value)
        before += len(by_value[value])
    ends = {f"{key}={as_written(part[0])} to {as_written(part[-1])}": part for part in parts.values()}
    return {label: [score for value in part for score in by_value[value]] for label, part in ends.items()}
