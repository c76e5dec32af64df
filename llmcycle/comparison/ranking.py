"""Whether a ranking of methods repeats: one that another seed turns round is none."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import isnan
from statistics import fmean

from llmcycle.comparison.points import Point

FEW = 3  # methods: two can only be in the same order or not


def repeated(points: Sequence[Point]) -> float | None:
    """Kendall's tau-b between the rankings by each two seeds, their mean; over methods that were trained with both.

    Returns:
        from -1, turned round, to 1, the same; None where no two seeds share three methods, or all methods score alike.
    """
    from scipy.stats import kendalltau

    seeds = sorted({seed for point in points for seed in point.by_seed})
    taus = []
    for one, other in combinations(seeds, 2):
        both = [point.by_seed for point in points if {one, other} <= point.by_seed.keys()]
        if len(both) >= FEW:
            taus.append(float(kendalltau([s[one] for s in both], [s[other] for s in both]).statistic))
    known = [tau for tau in taus if not isnan(tau)]
    return fmean(known) if known else None
