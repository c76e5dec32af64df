"""Alpha is the library's; its interval is held against known noise (in full by tests/bench/feedback_agreement.py)."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from annotators import binary, labels, true_alpha

from llmcycle.feedback.agreement import Level, agreement, alphas, coincidences, distances


@pytest.mark.parametrize("level", ["nominal", "interval"])
def test_the_coincidences_give_the_library_s_alpha(level: Level) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(1, 6, (4, 30)).astype(float)
    values[rng.random(values.shape) < 0.3] = np.nan
    values = values[:, (~np.isnan(values)).sum(0) >= 2]
    domain = np.unique(values[~np.isnan(values)])
    (alpha,) = alphas(coincidences(values, domain).sum(0)[None], distances(domain, level))
    assert alpha == pytest.approx(krippendorff.alpha(reliability_data=values, level_of_measurement=level))
    found = agreement(values, level)
    assert found is not None
    assert found.alpha == pytest.approx(alpha)
    assert found.low < found.alpha < found.high


def test_the_example_of_krippendorff_s_own_paper() -> None:
    """https://en.wikipedia.org/wiki/Krippendorff%27s_alpha, after Computing Krippendorff's Alpha-Reliability (2011)."""
    rows = ["* * * * * 3 4 1 2 1 1 3 3 * 3", "1 * 2 1 3 3 4 3 * * * * * * *", "* * 2 1 3 4 4 * 2 1 1 3 3 * 4"]
    values = np.array([[np.nan if word == "*" else float(word) for word in row.split()] for row in rows])
    nominal, interval = agreement(values, "nominal"), agreement(values, "interval")
    assert nominal is not None
    assert interval is not None
    assert (round(nominal.alpha, 3), round(interval.alpha, 3), nominal.items) == (0.691, 0.811, 12)


def test_known_noise_is_within_the_interval_and_more_items_narrow_it() -> None:
    truth = true_alpha(binary(0.1), "nominal")
    assert truth == pytest.approx((1 - 2 * 0.1) ** 2)
    widths = []
    for items in (50, 5000):
        found = agreement(labels(binary(0.1), items, 3, seed=0), "nominal")
        assert found is not None
        assert found.low <= truth <= found.high
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 5
    assert abs(found.alpha - truth) < 0.02


def test_where_all_agree_the_interval_is_no_point() -> None:
    found = agreement(np.array([[0.0, 1, 0, 1, 0, 1]] * 2), "nominal")
    assert found is not None
    assert (found.alpha, found.high) == (1.0, 1.0)
    assert 0 < found.low < 0.6


@pytest.mark.parametrize("values", [[[1, 1], [1, 1]], [[1, np.nan], [np.nan, 2]], [[np.nan], [np.nan]]])
def test_where_there_is_no_alpha_none_is_told(values: list[list[float]]) -> None:
    assert agreement(np.array(values, dtype=float), "nominal") is None
