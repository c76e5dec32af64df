"""Which pairs are worth a label: any, those that a reward model holds equal, or those that tell most about its weights.

The reward of an answer is w . h: h the features below the model's last layer, w with a Gaussian posterior. Of a pair,
x = h_first - h_second, m = w . x and v = x' S x are the margin's mean and variance. Shapes: N pairs, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import entr, expit

Floats = npt.NDArray[np.float64]
Choice = Literal["random", "margin", "information"]
CHOICES: tuple[Choice, ...] = ("random", "margin", "information")
# Gauss-Hermite nodes and weights for a standard normal variable.
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(32)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def at_random(total: int, count: int, seed: int) -> list[int]:
    """Places of `count` pairs, drawn."""
    return Random(f"{seed} pairs").sample(range(total), min(count, total))


def by_margin(margin_N: Floats, count: int) -> list[int]:
    """Places of the pairs whose margins are nearest to 0."""
    return [int(place) for place in np.argsort(np.abs(margin_N), kind="stable")[:count]]


def by_information(x_ND: Floats, margin_N: Floats, covariance_DD: Floats, count: int) -> list[int]:
    """Places of the pairs whose labels are expected to tell most about the weights, one after the other.

    Each step takes the pair with the highest mutual information between label and weights (BALD, arXiv:1112.5745), and
    then counts it as labelled: its expected Fisher information goes into the posterior, so that the next pair is not
    one that would tell the same.
    """
    chosen: list[int] = []
    projected_ND = x_ND @ covariance_DD
    variance_N = np.einsum("nd,nd->n", projected_ND, x_ND)
    for _ in range(min(count, len(x_ND))):
        gain_N = information(margin_N, variance_N)
        gain_N[chosen] = -np.inf
        best = int(gain_N.argmax())
        chosen.append(best)
        weight = fisher(margin_N[best], variance_N[best])
        across_N = projected_ND @ x_ND[best]
        shrink = weight / (1 + weight * variance_N[best])
        projected_ND = projected_ND - shrink * np.outer(across_N, projected_ND[best])
        variance_N = np.maximum(variance_N - shrink * across_N**2, 0.0)
    return chosen


def information(margin_N: Floats, variance_N: Floats) -> Floats:
    """Nats that a label is expected to tell about the weights: H(E[p]) - E[H(p)]."""
    p_NQ = expit(margin_N[:, None] + np.sqrt(variance_N)[:, None] * NODES)
    return np.asarray(entropy(p_NQ @ WEIGHTS) - entropy(p_NQ) @ WEIGHTS)


def entropy(p: Floats) -> Floats:
    """Of a label that is 1 with probability p, in nats."""
    return np.asarray(entr(p) + entr(1 - p))


def fisher(margin: float, variance: float) -> float:
    """The information of one label on its own margin, p (1 - p), in the mean over the posterior."""
    p_Q = expit(margin + np.sqrt(max(variance, 0.0)) * NODES)
    return float((p_Q * (1 - p_Q)) @ WEIGHTS)


def laplace(labelled_ND: Floats, margin_N: Floats, prior: float) -> Floats:
    """Covariance of the weights (D, D) after labels of pairs, by Laplace's approximation at the weights as they are.

    Args:
        labelled_ND: x of the pairs that have a label; none at all leaves the prior.
        prior: precision of the weights before any label.
    """
    p_N = expit(margin_N)
    precision_DD = (labelled_ND * (p_N * (1 - p_N))[:, None]).T @ labelled_ND
    return np.asarray(np.linalg.inv(precision_DD + prior * np.eye(labelled_ND.shape[1])))


def prior_precision(x_ND: Floats, margin_N: Floats) -> float:
    """The precision with which weights drawn from the prior would give margins as large as those that there are."""
    return float((x_ND**2).sum() / max((margin_N**2).sum(), 1e-12))


def differences(features: Sequence[Floats]) -> Floats:
    """x of pairs from the features of their first and second answers, [2 N, D] in turn: (N, D)."""
    stacked = np.asarray(features, dtype=np.float64)
    return stacked[::2] - stacked[1::2]
