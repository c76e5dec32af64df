"""Correlations against scipy, and their jackknife interval against many samples of a known correlation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from llmcycle.evaluate.correlation import jackknife, pearson, spearman
from llmcycle.evaluate.scores import Scores, change

TRUE = 0.6


def sample(n: int, seed: int) -> tuple[list[float], list[float]]:
    """Two normal columns of correlation 0.6."""
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=n), rng.normal(size=n)
    return x.tolist(), (TRUE * x + np.sqrt(1 - TRUE**2) * noise).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_correlations_equal_scipys(seed: int) -> None:
    x, y = sample(40, seed)
    y = [round(value) for value in y]  # with ties
    assert np.mean(jackknife(pearson, x, y)) == pytest.approx(stats.pearsonr(x, y).statistic)
    assert np.mean(jackknife(spearman, x, y)) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_a_constant_column_has_no_correlation() -> None:
    assert jackknife(spearman, [1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]) == [0.0] * 4


def test_the_interval_covers_the_truth() -> None:
    """Of 400 samples of 60 rows 95 % should; three standard errors below that are 92 %, less what 60 rows cost."""
    covered = 0
    for seed in range(400):
        interval = change(None, Scores(jackknife(pearson, *sample(60, seed)))).interval
        assert interval is not None
        covered += interval[0] <= TRUE <= interval[1]
    assert 0.90 <= covered / 400 <= 0.985


def test_two_rows_are_too_few() -> None:
    with pytest.raises(ValueError, match="rows: a correlation needs at least three, and there are 2"):
        jackknife(pearson, [1.0, 2.0], [1.0, 2.0])
