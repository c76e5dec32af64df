"""Where a noisy curve has its peak, on curves that are known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from llmcycle.train.peak import may_be_peak, peak, smoothed

HILL = [1 - ((look - 8) / 8) ** 2 for look in range(25)]  # its peak is at look 8


def noisy(seed: int, rows: int, spread: float, curve: list[float] = HILL) -> list[list[float]]:
    draws = np.random.default_rng(seed).normal(0, spread, (len(curve), rows))
    return (np.asarray(curve)[:, None] + draws).tolist()  # type: ignore[no-any-return]


def test_neighbours_are_averaged_and_the_ends_have_fewer() -> None:
    values = np.arange(8, dtype=np.float64).reshape(4, 2) ** 2
    assert np.allclose(
        smoothed(values, 3), [values[:2].mean(0), values[:3].mean(0), values[1:].mean(0), values[2:].mean(0)]
    )
    assert (smoothed(values, 1) == values).all()


def test_a_fall_is_told_with_its_error() -> None:
    found = peak([[0.0, 0.0], [4.0, 2.0], [1.0, 1.0]], window=1)
    assert (found.look, found.value, found.fall) == (1, 3.0, 2.0)
    assert found.error == pytest.approx(1.0), "falls of 3 and 1: a deviation of sqrt(2) over sqrt(2) rows"
    assert found.passed(1.9)
    assert not found.passed(2.1)
    assert not peak([[1.0], [1.0]], window=1).passed(3.0), "nothing has fallen"


def test_one_noisy_look_is_no_peak() -> None:
    """A run stops in time on a hill and hardly ever on a slope, though single looks fall on both."""
    slope = [look / 25 for look in range(25)]
    early = late = 0
    for seed in range(100):
        rising, hill = noisy(seed, 64, 0.8, slope), noisy(seed, 64, 0.8)
        assert any(np.mean(a) > np.mean(b) for a, b in pairwise(rising)), "some look falls"
        early += any(peak(rising[:look], 3).passed(3.0) for look in range(1, 26))
        stop = next((look for look in range(1, 26) if peak(hill[:look], 3).passed(3.0)), None)
        late += stop is None or HILL[peak(hill[:stop], 3).look] < 0.9
    assert early <= 3
    assert late <= 5


def test_the_weights_that_may_be_needed_are_among_those_that_are_kept() -> None:
    for seed in range(50):
        values = noisy(seed, 4, 0.5)
        kept: set[int] = set()
        for look in range(1, len(values) + 1):
            kept = (kept | {look - 1}) & may_be_peak(values[:look], 3)
            assert peak(values[:look], 3).look in kept
            assert len(kept) <= 2, "one, and that of which the smoothed value may yet change"
