"""Logistic regression of shares, and what each row adds to its coefficients.

Shapes: N rows, K columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RIDGE = 1e-3  # keeps coefficients finite where all rows are won; next to nothing where they are not
STEPS = 50
FAR = 30.0  # log-odds beyond which nothing changes


class Fit(NamedTuple):
    """Coefficients [K], and N times what each row moves them by [N, K], the mean of which is 0."""

    coefficients: Array
    influence: Array


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -FAR, FAR))))


def logistic(columns_NK: Array, shares: Sequence[float], weights: Sequence[float] | None = None) -> Fit:
    """The fit of shares in [0, 1] by Newton's method; a row's influence gives the sandwich's standard error.

    Args:
        weights: of the rows; 0 leaves one out.
    """
    y_N, w_N = np.asarray(shares, dtype=np.float64), np.ones(len(shares))
    if weights is not None:
        w_N = np.asarray(weights, dtype=np.float64)
    count = columns_NK.shape[1]
    beta_K = np.zeros(count)
    for _ in range(STEPS):
        slope_K, curve_KK = derivatives(columns_NK, y_N, w_N, beta_K)
        step_K = np.linalg.solve(curve_KK, slope_K)
        beta_K = beta_K + step_K * min(1.0, 2.0 / max(float(np.abs(step_K).max()), 1e-12))
        if np.abs(step_K).max() < 1e-9:
            break
    residual_N = w_N * (y_N - sigmoid(columns_NK @ beta_K))
    moved_NK = len(y_N) * np.linalg.solve(derivatives(columns_NK, y_N, w_N, beta_K)[1], (columns_NK.T * residual_N)).T
    return Fit(beta_K, moved_NK - moved_NK.mean(0))


def derivatives(columns_NK: Array, y_N: Array, w_N: Array, beta_K: Array) -> tuple[Array, Array]:
    """Gradient [K] and negative Hessian [K, K] of the log-likelihood with its ridge."""
    p_N = sigmoid(columns_NK @ beta_K)
    slope_K = columns_NK.T @ (w_N * (y_N - p_N)) - RIDGE * beta_K
    curve_KK = (columns_NK.T * (w_N * p_N * (1 - p_N))) @ columns_NK + RIDGE * np.eye(len(beta_K))
    return slope_K, curve_KK
