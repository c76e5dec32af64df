"""Intervals hold what they say: coverage of the truth between 93 % and 97 %, and agreement with scipy's own."""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
import pytest
from scipy import stats

from llmcycle.evaluate.interval import bonett_price, mean_interval, paired_interval, wilson

RUNS = 2000  # of a simulation: its coverage is known to 1 % (two standard errors)


def binomial(n: int, rate: float) -> np.ndarray:
    return np.array([comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1)])


@pytest.mark.parametrize("n", [32, 60, 100, 300])
def test_rates_by_enumeration(n: int) -> None:
    """Exact: over all rates from 2 % to 98 %, and at none of them far off."""
    low, high = np.array([wilson(k, n) for k in range(n + 1)]).T
    rates = np.linspace(0.02, 0.98, 97)
    covered = [binomial(n, rate) @ ((low <= rate) & (rate <= high)) for rate in rates]
    assert 0.945 <= np.mean(covered) <= 0.955
    assert min(covered) >= 0.92


@pytest.mark.parametrize(
    ("n", "gain", "loss"), [(50, 0.3, 0.02), (50, 0.2, 0.2), (50, 0.5, 0.1), (100, 0.05, 0.05), (100, 0.1, 0.0)]
)
def test_paired_rates_by_enumeration(n: int, gain: float, loss: float) -> None:
    """Exact, from ten rows that differ on; with fewer the interval is too wide, never too narrow."""
    cells = [(a, b) for a in range(n + 1) for b in range(n + 1 - a)]
    weights = stats.multinomial.pmf([(a, b, n - a - b) for a, b in cells], n, [gain, loss, 1 - gain - loss])
    low, high = np.array([bonett_price(a, b, n) for a, b in cells]).T
    assert 0.93 <= weights @ ((low <= gain - loss) & (gain - loss <= high)) <= 0.97


def test_few_rows_that_differ_make_the_interval_wide() -> None:
    n, gain, loss = 20, 0.05, 0.05
    cells = [(a, b) for a in range(n + 1) for b in range(n + 1 - a)]
    weights = stats.multinomial.pmf([(a, b, n - a - b) for a, b in cells], n, [gain, loss, 1 - gain - loss])
    low, high = np.array([bonett_price(a, b, n) for a, b in cells]).T
    assert weights @ ((low <= 0) & (high >= 0)) >= 0.97


def draw_rows(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bits a byte of n documents under two models, and their bytes: skewed, and harder documents hard for both."""
    sizes = rng.integers(20, 400, n).astype(float)
    hard = rng.gamma(4.0, 0.25, n)
    before = hard + rng.gamma(2.0, 3.0, n) / sizes
    after = 0.9 * hard + rng.gamma(2.0, 3.0, n) / sizes
    return before, after, sizes


def heavier(weights: np.ndarray) -> np.ndarray:
    """Other weights of the same rows, as another tokenizer would give them."""
    return 2.5 * weights + 10


Estimate = Callable[[np.ndarray, np.ndarray, np.ndarray], Any]
KINDS: dict[str, tuple[Estimate, Estimate]] = {  # what is estimated, and its interval
    "mean": (lambda x, y, w: y.mean(), lambda x, y, w: mean_interval(y)),
    "weighted": (lambda x, y, w: np.average(y, weights=w), lambda x, y, w: mean_interval(y, w)),
    "paired": (lambda x, y, w: (y - x).mean(), lambda x, y, w: paired_interval(x, y)),
    "paired, weighted": (
        lambda x, y, w: np.average(y - x, weights=w),
        lambda x, y, w: paired_interval(x, y, w, w),
    ),
    "paired, weighted otherwise": (
        lambda x, y, w: np.average(y, weights=w) - np.average(x, weights=heavier(w)),
        lambda x, y, w: paired_interval(x, y, w, heavier(np.array(w)).tolist()),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_means_by_simulation(kind: str) -> None:
    """The truth is that of a million rows."""
    estimate, interval = KINDS[kind]
    rng = np.random.default_rng(0)
    truth = estimate(*draw_rows(rng, 10**6))
    bounds = np.array([interval(*(column.tolist() for column in draw_rows(rng, 60))) for _ in range(RUNS)])
    assert 0.93 <= np.mean((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])) <= 0.97


@pytest.mark.parametrize(("k", "n"), [(0, 20), (3, 20), (50, 100), (283, 300), (7, 7)])
def test_a_rate_as_scipy_has_it(k: int, n: int) -> None:
    expected = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_paired_mean_as_scipy_has_it() -> None:
    before, after, _ = draw_rows(np.random.default_rng(1), 80)
    expected = stats.ttest_rel(after, before).confidence_interval(0.95)
    assert paired_interval(list(before), list(after)) == pytest.approx((expected.low, expected.high), rel=1e-3)


def test_a_paired_ratio_as_the_bootstrap_has_it() -> None:
    before, after, sizes = draw_rows(np.random.default_rng(2), 150)

    def change(x: np.ndarray, y: np.ndarray, w: np.ndarray, axis: int = -1) -> np.ndarray:
        return (y * w).sum(axis) / w.sum(axis) - (x * w).sum(axis) / w.sum(axis)

    columns = (before, after, sizes)
    found = stats.bootstrap(columns, change, paired=True, vectorized=True, n_resamples=4000, method="BCa", rng=0)
    expected = found.confidence_interval
    low, high = paired_interval(list(before), list(after), list(sizes), list(sizes))
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.1 * (high - low))


def test_a_paired_rate_decides_as_mcnemar_does() -> None:
    """Wherever one excludes that nothing has changed, so does the other (McNemar's test, mid-p), but at the border."""
    cells = [(a, b) for a in range(30) for b in range(30) if a + b]
    differ = 0
    for a, b in cells:
        k = min(a, b)
        p = min(1.0, 2 * (stats.binom.cdf(k, a + b, 0.5) - 0.5 * stats.binom.pmf(k, a + b, 0.5)))
        low, high = bonett_price(a, b, 200)
        excluded = low > 0 or high < 0
        differ += excluded != (p < 0.05)
        assert not (excluded and p > 0.1)
        assert excluded or p > 0.01
    assert differ <= 0.05 * len(cells)
