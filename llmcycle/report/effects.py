"""What each factor of a sweep does to the result, over all values of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from llmcycle.report.numbers import number
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
    if len(scores) <= FEW or not all(map(is_number, (text.partition("=")[2] for text in scores))):
        return scores
    pairs = sorted((float(text.partition("=")[2]), score) for text, each in scores.items() for score in each)
    cuts = [round(len(pairs) * third / 3) for third in range(4)]
    thirds = [pairs[low:high] for low, high in pairwise(cuts)]
    return {f"{key}={number(part[0][0])} to {number(part[-1][0])}": [score for _, score in part] for part in thirds}


def is_number(text: str) -> bool:
    """Whether a value is one that can be put in order."""
    try:
        float(text)
    except ValueError:
        return False
    return True
