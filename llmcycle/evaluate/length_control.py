"""Win rates as they would be if both answers were equally long: AlpacaEval 2's length control, arXiv:2404.04475."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmcycle.evaluate.logistic import Array, logistic, sigmoid


def length_term(differences: Sequence[float]) -> Array:
    """tanh of a difference in length over the standard deviation of all of them: equation 2, middle term."""
    values = np.asarray(differences, dtype=np.float64)
    scale = float(values.std())
    return np.tanh(values / scale) if scale > 0 else np.zeros(len(values))


def length_controlled(
    wins: Sequence[float], differences: Sequence[float], weights: Sequence[float] | None = None
) -> list[float]:
    """One value a row, whose mean is the win rate at equal length and whose spread gives its standard error.

    The paper's regression for one model against one other, without its term for how hard an instruction is, which
    takes many models to fit.

    Args:
        wins: how far each row is won, 0.5 for a tie.
        differences: in length, the model's answer less the other one.
        weights: 0 for a row that nothing is known of; its value is then the rate itself.
    """
    columns = np.stack([np.ones(len(wins)), length_term(differences)], axis=1)
    fit = logistic(columns, wins, weights)
    rate = float(sigmoid(fit.coefficients)[0])
    values: list[float] = (rate + rate * (1 - rate) * fit.influence[:, 0]).tolist()
    return values
