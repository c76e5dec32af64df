"""Correlations as scores: one value a row, whose mean is the correlation and whose spread its jackknife interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Values = NDArray[np.float64]
Statistic = Callable[[Values, Values], float]


def pearson(x: Values, y: Values) -> float:
    """The product-moment correlation of two columns; 0 where one of them is constant."""
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else 0.0


def spearman(x: Values, y: Values) -> float:
    """The correlation of ranks; equal values share the mean of their ranks."""
    return pearson(rankdata(x), rankdata(y))


def cohen_kappa(x: Values, y: Values) -> float:
    """Agreement of two columns of labels beyond chance (doi:10.1177/001316446002000104); 0 where both are constant."""
    labels = np.union1d(x, y)
    shares = [(float((x == label).mean()), float((y == label).mean())) for label in labels]
    chance = sum(a * b for a, b in shares)
    return float(((x == y).mean() - chance) / (1 - chance)) if chance < 1 else 0.0


def jackknife(statistic: Statistic, x: Sequence[float], y: Sequence[float]) -> list[float]:
    """What each row adds: their mean is the statistic of all rows, their standard error that of Tukey's jackknife.

    Efron and Tibshirani, An Introduction to the Bootstrap, section 11.3: pseudo-values, moved so that their mean is
    the statistic itself.

    Raises:
        ValueError: fewer than three rows.
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    n = len(first)
    if n < 3:
        raise ValueError(f"rows: a correlation needs at least three, and there are {n}; raise the number of rows")
    without = np.array([statistic(np.delete(first, i), np.delete(second, i)) for i in range(n)])
    values: list[float] = (statistic(first, second) + (n - 1) * (without.mean() - without)).tolist()
    return values
