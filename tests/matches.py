"""Matches between models of known strength, so that it is known what an arena must find."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from llmcycle.arena import Matches, Standing, standings
from llmcycle.arena.standings import at_equal_length, fitted, win_rates
from llmcycle.evaluate.logistic import sigmoid

Array = NDArray[np.float64]
MANY = 100_000  # prompts that stand for all there are

STRENGTHS = (0.9, 0.3, -0.2, -1.0)


def drawn(
    draw: np.random.Generator,
    prompts: int,
    strengths: Sequence[float] = STRENGTHS,
    ties: float = 0.0,
    spread: float = 0.0,
    liking: float = 0.0,
) -> Matches:
    """Matches of each two models on each prompt.

    Args:
        ties: of matches between equally strong models the share that nobody wins, as Davidson's model has it.
        spread: by how much, in nats, a model's strength differs from prompt to prompt: its matches there go together.
        liking: of the judge for the longer answer, in nats at most; models of later places write longer.
    """
    count = len(strengths)
    here = np.asarray(strengths) + spread * draw.normal(size=(prompts, count))
    lengths = 100 + 20 * draw.normal(size=(prompts, count)) + 10 * np.arange(count)
    wins = np.full((prompts, count, count), np.nan)
    pairs = list(combinations(range(count), 2))
    scale = np.std([lengths[:, i] - lengths[:, j] for i, j in pairs])
    odds = ties / (1 - ties)
    for i, j in pairs:
        lead = here[:, i] - here[:, j] + liking * np.tanh((lengths[:, i] - lengths[:, j]) / scale)
        win = sigmoid(lead)
        tie = 2 * odds * np.sqrt(win * (1 - win))
        place = draw.random(prompts) * (1 + tie)
        wins[:, i, j] = np.where(place < win, 1.0, np.where(place < win + tie, 0.5, 0.0))
        wins[:, j, i] = 1 - wins[:, i, j]
    return Matches(tuple("abcdefgh"[:count]), wins, lengths)


@cache
def truth(ties: float = 0.0, spread: float = 0.0, liking: float = 0.0) -> dict[str, tuple[float, float, float]]:
    """Of each model strength, win rate and win rate at equal length: known where nothing blurs the strengths, else what
    is found on very many prompts."""
    if ties == spread == liking == 0:
        pairs = np.subtract.outer(STRENGTHS, STRENGTHS)
        rates = (sigmoid(pairs).sum(1) - 0.5) / (len(STRENGTHS) - 1)
        return {name: (s, r, r) for name, s, r in zip("abcd", STRENGTHS, rates.tolist(), strict=True)}
    matches = drawn(np.random.default_rng(99), MANY, ties=ties, spread=spread, liking=liking)
    strengths = fitted(np.nan_to_num(matches.wins).sum(0)).tolist()
    rates = [[rate for rate, _ in found] for found in (win_rates(matches), at_equal_length(matches))]
    return dict(zip("abcd", zip(strengths, *rates, strict=True), strict=True))


def holds(line: Standing, values: tuple[float, float, float]) -> list[bool]:
    """Whether each of a model's intervals holds the truth."""
    intervals = (line.strength_interval, line.win_rate_interval, line.at_equal_length_interval)
    return [low <= value <= high for (low, high), value in zip(intervals, values, strict=True)]


def coverage(prompts: int, repeats: int, **blur: float) -> tuple[Array, Array]:
    """Shares [models, 3] of repeats in which an interval holds the truth, and mean errors [models, 3]."""
    right, draw = truth(**blur), np.random.default_rng(7)
    held, error = np.zeros((len(right), 3)), np.zeros((len(right), 3))
    for seed in range(repeats):
        lines = sorted(standings(drawn(draw, prompts, **blur), seed), key=lambda line: line.name)
        held += [holds(line, right[line.name]) for line in lines]
        error += [np.subtract((line.strength, line.win_rate, line.at_equal_length), right[line.name]) for line in lines]
    return held / repeats, error / repeats
