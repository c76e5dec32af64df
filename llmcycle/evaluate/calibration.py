"""Whether a probability of being right is the share that is right."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

BINS = 10


def calibration_errors(confidences: Sequence[float], right: Sequence[float], bins: int = BINS) -> list[float]:
    """What each row adds to the expected calibration error: their mean is that error, in [0, 1].

    ECE is the mean over rows of |share right - mean confidence| of the bin that a row falls in (arXiv:1706.04599,
    equation 3), which is the mean of +-(right - confidence) with one sign a bin.

    Args:
        confidences: in [0, 1].
        right: 0 or 1; a share where rows were judged several times.
        bins: of equal width between the least and the greatest confidence that can be, 0 and 1.
    """
    misses = np.asarray(right, dtype=np.float64) - np.asarray(confidences, dtype=np.float64)
    places = np.clip((np.asarray(confidences) * bins).astype(int), 0, bins - 1)
    signs = np.sign(np.bincount(places, weights=misses, minlength=bins))
    errors: list[float] = (signs[places] * misses).tolist()
    return errors


def held_out_errors(confidences: Sequence[float], right: Sequence[float], bins: int = BINS) -> list[float]:
    """As `calibration_errors` of rows 1, 3, 5, ..., on which side a bin errs being told by rows 0, 2, 4, ...

    Where a row's own miss helps to choose its sign, the mean is above 0 even for a model that is perfectly calibrated,
    by about sqrt(bins / rows) / 3. Here it is 0 then, and as it should be where bins miss by more than their noise. A
    bin that the other half has no row in takes the sign of that half as a whole.

    Args:
        confidences, right, bins: as there.
    """
    misses = np.asarray(right, dtype=np.float64) - np.asarray(confidences, dtype=np.float64)
    places = np.clip((np.asarray(confidences) * bins).astype(int), 0, bins - 1)
    tells, scored = slice(0, None, 2), slice(1, None, 2)
    sums = np.bincount(places[tells], weights=misses[tells], minlength=bins)
    empty = np.bincount(places[tells], minlength=bins) == 0
    signs = np.sign(np.where(empty, misses[tells].sum(), sums))
    errors: list[float] = (signs[places[scored]] * misses[scored]).tolist()
    return errors


def margin_errors(margins: Sequence[float]) -> list[float]:
    """`calibration_errors` of sigmoid(margin), a reward model's chance that the answer scored higher is the right one.

    Args:
        margins: of pairs, the chosen answer's reward less the other's.
    """
    sure = [1 / (1 + math.exp(-min(abs(margin), 700))) for margin in margins]  # a float's exponent ends there
    return calibration_errors(sure, [float(margin > 0) for margin in margins])
