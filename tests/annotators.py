"""Simulated annotators with known noise: their labels, and the alpha that these would have over endless items.

Shapes: Z true labels, K values that annotators give, A annotators, I items.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llmcycle.feedback.agreement import Floats, Level, distances


class Noise(NamedTuple):
    """How often each true label comes, (Z,), and what annotators make of it, (Z, K)."""

    rate_Z: Floats
    given_ZK: Floats


def binary(error: float) -> Noise:
    """Two answers, of which the better one is not chosen at the rate `error`."""
    return Noise(np.full(2, 0.5), np.array([[1 - error, error], [error, 1 - error]]))


def with_ties(error: float) -> Noise:
    """The same with a tenth of ties; an error falls on either of the two other values."""
    given = np.full((3, 3), error / 2) + np.eye(3) * (1 - 1.5 * error)
    return Noise(np.array([0.45, 0.45, 0.1]), given)


def five_stars(spread: float) -> Noise:
    """Ratings that lie around the true one, the less often the further away."""
    apart = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    given = np.exp(-apart / spread)
    return Noise(np.full(5, 0.2), given / given.sum(1, keepdims=True))


def true_alpha(noise: Noise, level: Level) -> float:
    """1 - observed / expected disagreement of two annotators, over endless items."""
    pairs_KK = np.einsum("z,zc,zk->ck", noise.rate_Z, noise.given_ZK, noise.given_ZK)
    distance_KK = distances(np.arange(float(len(pairs_KK))), level)
    rate_K = pairs_KK.sum(1)
    return float(1 - (pairs_KK * distance_KK).sum() / (np.outer(rate_K, rate_K) * distance_KK).sum())


def labels(noise: Noise, items: int, annotators: int, seed: int, missing: float = 0.0) -> Floats:
    """Labels (A, I); NaN where one is missing."""
    rng = np.random.default_rng(seed)
    true_I = rng.choice(len(noise.rate_Z), items, p=noise.rate_Z)
    bounds_IK = noise.given_ZK.cumsum(1)[true_I][:, :-1]
    values_AI = (rng.random((annotators, items, 1)) > bounds_IK).sum(2).astype(float)
    values_AI[rng.random(values_AI.shape) < missing] = np.nan
    return values_AI
