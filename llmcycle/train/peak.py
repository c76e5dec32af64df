"""Where a noisy curve has its peak, and whether it has passed it. Shapes: L looks, N rows."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


class Peak(NamedTuple):
    """The look at which the smoothed curve is highest.

    Args:
        look: its place.
        value: of the smoothed curve there.
        fall: from there to the smoothed curve's end.
        error: the standard error of that fall over the rows, each paired with itself.
    """

    look: int
    value: float
    fall: float
    error: float

    def passed(self, patience: float) -> bool:
        """Whether the curve has fallen by more than so many standard errors."""
        return self.fall > 0 and self.fall > patience * self.error


def smoothed(values_LN: Values, window: int) -> Values:
    """[L, N] each row's mean over the `window` looks around each look; over fewer of them at both ends."""
    half, count = window // 2, len(values_LN)
    return np.stack([values_LN[max(0, look - half) : look + half + 1].mean(0) for look in range(count)])


def peak(values: Sequence[Sequence[float]], window: int) -> Peak:
    """The peak of the mean over rows, of [L, N] values; the first of equals."""
    curve_LN = smoothed(np.asarray(values, dtype=np.float64), window)
    means_L = curve_LN.mean(1)
    look = int(means_L.argmax())
    falls_N = curve_LN[look] - curve_LN[-1]
    rows = len(falls_N)
    error = float(falls_N.std(ddof=1)) / sqrt(rows) if rows > 1 else 0.0
    return Peak(look, float(means_L[look]), float(falls_N.mean()), error)


def may_be_peak(values: Sequence[Sequence[float]], window: int) -> set[int]:
    """Looks of which one will be the peak, unless it is yet to come: the highest of those whose smoothed value no later
    look changes, and all that one changes."""
    means_L = smoothed(np.asarray(values, dtype=np.float64), window).mean(1)
    settled = max(0, len(means_L) - window // 2)
    highest = {int(means_L[:settled].argmax())} if settled else set()
    return highest | set(range(settled, len(means_L)))
