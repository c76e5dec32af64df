"""Who is how strong: win rates, win rates at equal length, and Bradley-Terry strengths, all with 95 % intervals.

Intervals are over prompts, since the matches of one prompt are no independent ones. Shapes: P prompts, M models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import choix
import numpy as np
from numpy.typing import NDArray

from llmcycle.arena.matches import Array, Matches
from llmcycle.evaluate.interval import Interval, t_quantile
from llmcycle.evaluate.length_control import length_term
from llmcycle.evaluate.logistic import logistic, sigmoid
from llmcycle.evaluate.scores import Scores, own_interval
from llmcycle.evaluate.versus import TIE

PULL = 0.01  # choix's regularisation: who has won or lost every match has a finite strength too
DRAWS = 500  # of prompts, for the intervals of strengths
CLOSE = 1e-6  # what choix iterates to
NEWTON = 12  # steps


@dataclass(frozen=True)
class Standing:
    """One model among the others.

    Args:
        strength: Bradley-Terry's, in nats: the log-odds of winning against a model of strength 0, which is the mean.
        win_rate: over all opponents and prompts, a tie counting half.
        at_equal_length: the same without the judge's liking for length; None without two prompts.
        ties: share of its matches.
        length: of its answers, in characters.
        failed: share of its matches without a verdict, which count in nothing else.
    """

    name: str
    strength: float
    strength_interval: Interval
    win_rate: float
    win_rate_interval: Interval
    at_equal_length: float
    at_equal_length_interval: Interval
    ties: float
    length: float
    failed: float


def standings(matches: Matches, seed: int = 0) -> list[Standing]:
    """All models, the strongest first.

    Args:
        seed: of the draws of prompts.

    Raises:
        ValueError: fewer than two prompts on which every model has a verdict.
    """
    there = matches.take(has_verdicts(matches))
    if len(there.wins) < 2:
        given = f"{len(there.wins)} of {len(matches.wins)} prompts"
        raise ValueError(f"--judge: it gave verdicts on {given}; choose another judge or more prompts")
    strengths, rates, equal = bradley_terry(there, seed), win_rates(there), at_equal_length(there)
    ties = np.nanmean(np.where(np.isnan(there.wins), np.nan, np.abs(there.wins - 0.5) < TIE), axis=(0, 2))
    lengths, failed = matches.lengths.mean(0), failures(matches)
    lines = [
        Standing(name, *strengths[i], *rates[i], *equal[i], float(ties[i]), float(lengths[i]), float(failed[i]))
        for i, name in enumerate(matches.names)
    ]
    return sorted(lines, key=lambda line: -line.strength)


def has_verdicts(matches: Matches) -> NDArray[np.bool_]:
    """On which prompts every model has a verdict at least."""
    return np.asarray(np.all(np.any(~np.isnan(matches.wins), axis=2), axis=1))


def failures(matches: Matches) -> Array:
    """Of each model the share of its matches without a verdict."""
    missing = np.isnan(matches.wins).sum(axis=(0, 2)) / len(matches.wins) - 1  # none is played against itself
    return np.asarray(missing / (len(matches.names) - 1))


def win_rates(matches: Matches) -> list[tuple[float, Interval]]:
    """Of each model its rate over opponents and prompts."""
    by_prompt = np.nanmean(matches.wins, axis=2)
    return [(float(values.mean()), own_interval(Scores(values.tolist()))) for values in by_prompt.T]


def bradley_terry(matches: Matches, seed: int = 0) -> list[tuple[float, Interval]]:
    """Maximum likelihood by choix, a tie half a match for each; the bootstrap's standard error over prompts.

    Student's quantile, since with few prompts the bootstrap's own percentiles are too narrow.
    """
    counts = np.nan_to_num(matches.wins)
    n, draw = len(counts), np.random.default_rng(seed)
    estimate = fitted(counts.sum(0))
    shares = draw.multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(float)
    drawn = refitted(np.einsum("bp,pij->bij", shares, counts), estimate)
    half = t_quantile(n - 1) * np.std(drawn, axis=0, ddof=1) * np.sqrt(n / (n - 1))
    return [(float(x), (float(x - h), float(x + h))) for x, h in zip(estimate, half, strict=True)]


def fitted(wins: Array) -> Array:
    """Strengths [M] of a table of wins [M, M], with mean 0."""
    return np.asarray(choix.ilsr_pairwise_dense(wins, alpha=PULL, max_iter=1000, tol=CLOSE))


def refitted(wins_BMM: Array, start: Array) -> Array:
    """The same [B, M] of many tables at once, by Newton's method from a near start: choix takes one after the other."""
    wins_BMM = wins_BMM + PULL * (1 - np.eye(len(start)))
    games_BMM = wins_BMM + wins_BMM.transpose(0, 2, 1)
    strengths_BM = np.tile(start, (len(wins_BMM), 1))
    for _ in range(NEWTON):
        p_BMM = sigmoid(strengths_BM[:, :, None] - strengths_BM[:, None, :])
        slope_BM = (wins_BMM - games_BMM * p_BMM).sum(2)
        curve_BMM = games_BMM * p_BMM * (1 - p_BMM)
        # The 1 fixes the mean, which the matches say nothing of.
        hessian_BMM = 1 - curve_BMM + curve_BMM.sum(2)[:, :, None] * np.eye(len(start))
        strengths_BM = strengths_BM + np.linalg.solve(hessian_BMM, slope_BM[:, :, None])[:, :, 0].clip(-1, 1)
    return np.asarray(strengths_BM - strengths_BM.mean(1, keepdims=True))


def at_equal_length(matches: Matches) -> list[tuple[float, Interval]]:
    """Win rates by a regression on who plays and on the difference in length, as in AlpacaEval 2 (arXiv:2404.04475).

    What a prompt adds to a coefficient is what its matches add together.
    """
    count, prompts = len(matches.names), len(matches.wins)
    columns, wins, places = design(matches)
    fit = logistic(columns, wins.tolist())
    influence = np.zeros((prompts, columns.shape[1]))
    np.add.at(influence, places, fit.influence * prompts / len(wins))
    strengths = np.append(fit.coefficients[:-1], 0.0)  # the last model's is the one that others are measured from
    moved = np.concatenate([influence[:, :-1], np.zeros((prompts, 1))], axis=1)
    found = []
    for i in range(count):
        others = [j for j in range(count) if j != i]
        rates = sigmoid(strengths[i] - strengths[others])
        values = rates.mean() + ((moved[:, [i]] - moved[:, others]) * rates * (1 - rates)).mean(1)
        found.append((float(rates.mean()), around(values)))
    return found


def around(values: Array) -> Interval:
    """Student's interval of a mean."""
    half = t_quantile(len(values) - 1) * float(values.std(ddof=1)) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def design(matches: Matches) -> tuple[Array, Array, NDArray[np.int64]]:
    """A row a match that has a verdict: columns [N, M], what the first has won [N], and the prompt's place [N]."""
    once = np.triu(np.ones((len(matches.names),) * 2, dtype=bool), k=1)  # a match stands in the table both ways
    prompts, first, second = np.nonzero(~np.isnan(matches.wins) & once)
    columns, rows = np.zeros((len(prompts), len(matches.names))), np.arange(len(prompts))
    columns[rows, first] += 1
    columns[rows, second] -= 1
    longer: Sequence[float] = (matches.lengths[prompts, first] - matches.lengths[prompts, second]).tolist()
    columns[:, -1] = length_term(longer)  # in the place of the last model, whose strength is 0
    return columns, matches.wins[prompts, first, second], prompts
