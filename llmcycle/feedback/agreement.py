"""How far annotators agree: Krippendorff's alpha, and its bootstrap interval over items.

Shapes: A annotators, I items, K different values, B draws of the bootstrap.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import krippendorff
import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from llmcycle.evaluate.interval import LEVEL, wilson

Level = Literal["nominal", "interval"]
Floats = npt.NDArray[np.float64]
DRAWS = 2000  # of the bootstrap


class Agreement(NamedTuple):
    """Alpha, the ends of its 95 % interval, and the items that two annotators or more have labelled."""

    alpha: float
    low: float
    high: float
    items: int


def agreement(values_AI: Floats, level: Level, seed: int = 0, draws: int = DRAWS) -> Agreement | None:
    """Krippendorff's alpha of labels by annotator and item, NaN where there is none.

    Args:
        level: "nominal" for choices, which are the same or not; "interval" for ratings, whose differences are squared.

    Returns:
        None where alpha does not exist: no item has two labels, or all labels are the same.
    """
    shared_AI = values_AI[:, (~np.isnan(values_AI)).sum(0) >= 2]
    if len(domain := np.unique(shared_AI[~np.isnan(shared_AI)])) < 2:
        return None
    alpha = float(krippendorff.alpha(reliability_data=shared_AI, level_of_measurement=level))
    pairs_IKK, distance_KK = coincidences(shared_AI, domain), distances(domain, level)
    if not (pairs_IKK * distance_KK).any():
        low = 1.0 - wilson(0, len(pairs_IKK))[1] * float(distance_KK.max()) / expected(pairs_IKK.sum(0), distance_KK)
        return Agreement(alpha, low, 1.0, len(pairs_IKK))
    return Agreement(alpha, *interval(pairs_IKK, distance_KK, seed, draws), len(pairs_IKK))


def coincidences(values_AI: Floats, domain_K: Floats) -> Floats:
    """Of each item how often two labels of it are (c, k), weighed by 1 / (labels - 1): (I, K, K)."""
    counts_IK = np.stack([(values_AI == value).sum(0) for value in domain_K], axis=-1).astype(float)
    pairs_IKK = counts_IK[:, :, None] * counts_IK[:, None, :] - counts_IK[:, :, None] * np.eye(len(domain_K))
    return np.asarray(pairs_IKK / (counts_IK.sum(1) - 1)[:, None, None])


def distances(domain_K: Floats, level: Level) -> Floats:
    """Between two values: (K, K)."""
    apart_KK = domain_K[:, None] - domain_K[None, :]
    return (apart_KK != 0).astype(float) if level == "nominal" else apart_KK**2


def expected(pairs_KK: Floats, distance_KK: Floats) -> float:
    """The mean distance of two labels of any items."""
    count_K = pairs_KK.sum(0)
    total = count_K.sum()
    return float((np.outer(count_K, count_K) * distance_KK).sum() / total / (total - 1))


def alphas(pairs_BKK: Floats, distance_KK: Floats) -> Floats:
    """Alpha of each sum of coincidences: (B,); NaN where all labels are the same."""
    count_BK = pairs_BKK.sum(2)
    total_B = count_BK.sum(1)
    observed_B = (pairs_BKK * distance_KK).sum((1, 2)) / total_B
    expected_B = np.einsum("bc,bk,ck->b", count_BK, count_BK, distance_KK) / total_B / (total_B - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1.0 - observed_B / expected_B)


def interval(pairs_IKK: Floats, distance_KK: Floats, seed: int, draws: int = DRAWS) -> tuple[float, float]:
    """95 % interval of alpha: the bootstrap over items, bias-corrected and accelerated (BCa, Efron 1987)."""
    drawn = resampled(pairs_IKK, distance_KK, seed, draws)
    total_KK = pairs_IKK.sum(0)
    alpha = alphas(total_KK[None], distance_KK)[0]
    left_out = alphas(total_KK - pairs_IKK, distance_KK)
    levels = bca_levels(drawn, float(alpha), left_out[np.isfinite(left_out)])
    low, high = np.quantile(drawn, levels)
    return float(low), float(high)


def resampled(pairs_IKK: Floats, distance_KK: Floats, seed: int, draws: int) -> Floats:
    """Alphas of as many items drawn with replacement; draws in which it does not exist are left out."""
    rng, count, flat = np.random.default_rng(seed), len(pairs_IKK), pairs_IKK.reshape(len(pairs_IKK), -1)
    size = max(1, 2**22 // count)  # numbers of draws held at once
    blocks = [times_drawn(rng, min(size, draws - start), count) @ flat for start in range(0, draws, size)]
    drawn = alphas(np.concatenate(blocks).reshape(draws, *pairs_IKK.shape[1:]), distance_KK)
    return drawn[np.isfinite(drawn)]


def times_drawn(rng: np.random.Generator, draws: int, count: int) -> Floats:
    """How often each of `count` items is among as many that are drawn with replacement: (draws, count)."""
    places = rng.integers(count, size=(draws, count)) + np.arange(draws)[:, None] * count
    return np.bincount(places.ravel(), minlength=draws * count).reshape(draws, count).astype(float)


def bca_levels(drawn: Floats, value: float, left_out: Floats) -> Floats:
    """The two quantiles of the draws that are the interval's ends."""
    below = np.clip(np.mean(drawn < value) + np.mean(drawn == value) / 2, 1 / len(drawn), 1 - 1 / len(drawn))
    bias, deviations = norm.ppf(below), left_out.mean() - left_out
    acceleration = (deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5) if deviations.any() else 0.0
    ends = bias + norm.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return np.asarray(norm.cdf(bias + ends / (1 - acceleration * ends)))
