"""Intervals against published values, and their coverage against simulated truth."""

from __future__ import annotations

from random import Random

import pytest

from llmcycle.evaluate.interval import mean_interval, paired_interval, share_interval, t_quantile, wilson


@pytest.mark.parametrize(
    ("successes", "n", "expected"),
    # Newcombe 1998, table I, method 3 (doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E)
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_published(successes: int, n: int, expected: tuple[float, float]) -> None:
    assert wilson(successes, n) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (5, 2.57058), (10, 2.22814), (30, 2.04227)],
)
def test_t_quantile_table(degrees: int, expected: float) -> None:
    assert t_quantile(degrees) == pytest.approx(expected, abs=5e-3)


def covered(interval: tuple[float, float], truth: float) -> bool:
    return interval[0] <= truth <= interval[1]


def coverage(hits: list[bool]) -> float:
    return sum(hits) / len(hits)


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.97])
def test_rate_coverage(rate: float) -> None:
    rng = Random(1)
    hits = [covered(mean_interval([float(rng.random() < rate) for _ in range(60)]), rate) for _ in range(2000)]
    assert 0.92 <= coverage(hits) <= 0.985


def test_mean_coverage() -> None:
    rng = Random(2)
    hits = [covered(mean_interval([rng.gauss(3.0, 2.0) for _ in range(8)]), 3.0) for _ in range(2000)]
    assert 0.935 <= coverage(hits) <= 0.965


@pytest.mark.parametrize(("gain", "loss"), [(0.3, 0.02), (0.05, 0.05), (0.9, 0.0)])
def test_paired_rate_coverage(gain: float, loss: float) -> None:
    rng = Random(3)
    hits = []
    for _ in range(2000):
        draws = [rng.random() for _ in range(80)]
        before = [1.0 if u < loss else 0.0 if u < loss + gain else float(i % 2) for i, u in enumerate(draws)]
        after = [0.0 if u < loss else 1.0 if u < loss + gain else float(i % 2) for i, u in enumerate(draws)]
        hits.append(covered(paired_interval(before, after), gain - loss))
    assert 0.93 <= coverage(hits) <= 0.995


def test_paired_mean_coverage_beats_unpaired_width() -> None:
    rng = Random(4)
    hits, widths = [], []
    for _ in range(1000):
        before = [rng.gauss(0, 5) for _ in range(20)]
        after = [value + rng.gauss(0.5, 1) for value in before]
        low, high = paired_interval(before, after)
        hits.append(covered((low, high), 0.5))
        widths.append(high - low)
    assert 0.93 <= coverage(hits) <= 0.97
    assert max(widths) < 2.0  # twenty unpaired values of deviation 5 would give about 6


def test_weighted_coverage() -> None:
    """Nats a token: documents of different length, the truth being total loss over total tokens."""
    rng = Random(5)
    hits = []
    for _ in range(1000):
        tokens = [float(rng.randint(5, 60)) for _ in range(40)]
        values = [1.5 + rng.gauss(0, 3) / count**0.5 for count in tokens]
        hits.append(covered(mean_interval(values, tokens), 1.5))
    assert 0.925 <= coverage(hits) <= 0.97


def test_all_rows_gained_leaves_doubt() -> None:
    low, high = paired_interval([0.0] * 20, [1.0] * 20)
    assert 0.6 < low < 0.95
    assert high == 1.0


@pytest.mark.parametrize("values", [[], [0.3]])
def test_too_few_rows_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least"):
        mean_interval(values)
    with pytest.raises(ValueError, match="at least"):
        paired_interval(values, values)


def test_unequal_rows_refused() -> None:
    with pytest.raises(ValueError, match="2 and 1"):
        paired_interval([1.0, 0.0], [1.0])


@pytest.mark.parametrize("concentration", [3.0, 30.0])
def test_an_interval_of_shares_stays_within_0_and_1_and_covers_the_truth(concentration: float) -> None:
    rng, truth, hits = Random(2), 0.95, []
    for _ in range(2000):
        values = [rng.betavariate(concentration * truth, concentration * (1 - truth)) for _ in range(40)]
        low, high = share_interval(values)
        assert 0 <= low <= high <= 1
        hits.append(covered((low, high), truth))
    assert coverage(hits) > 0.9


def test_an_interval_of_0_and_1_as_shares_is_nearly_wilsons() -> None:
    values = [1.0] * 37 + [0.0] * 3
    assert share_interval(values) == pytest.approx(wilson(37, 40), abs=0.01)
    assert share_interval([1.0] * 20) == wilson(20, 20)
