"""Simulated annotators with known noise: how often the true alpha lies within an interval, and how near alpha comes.

python tests/bench/feedback_agreement.py [--repeats 1000]

Beside the interval that is used (BCa) stand others: percentile and basic of the same draws, and the jackknife's
Student's t of alpha itself and of log(1 - alpha).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from annotators import Noise, binary, five_stars, labels, true_alpha, with_ties

from llmcycle.evaluate.interval import t_quantile
from llmcycle.feedback.agreement import (
    DRAWS,
    Floats,
    Level,
    agreement,
    alphas,
    bca_levels,
    coincidences,
    distances,
    interval,
    resampled,
)

NOISES: dict[str, tuple[Noise, Level]] = {
    "choices, 10 % wrong": (binary(0.1), "nominal"),
    "choices, 30 % wrong": (binary(0.3), "nominal"),
    "with ties, 10 % wrong": (with_ties(0.1), "nominal"),
    "five stars": (five_stars(0.7), "interval"),
}
SIZES = ((50, 3, 0.0), (100, 3, 0.0), (100, 3, 0.3), (300, 3, 0.0), (100, 2, 0.0))  # items, annotators, missing share


def others(values_AI: Floats, level: Level, seed: int) -> dict[str, tuple[float, float]]:
    """Ends of all intervals by name."""
    shared_AI = values_AI[:, (~np.isnan(values_AI)).sum(0) >= 2]
    domain = np.unique(shared_AI[~np.isnan(shared_AI)])
    pairs, apart = coincidences(shared_AI, domain), distances(domain, level)
    drawn, (alpha,) = resampled(pairs, apart, seed, DRAWS), alphas(pairs.sum(0)[None], apart)
    left_out, n = alphas(pairs.sum(0) - pairs, apart), len(pairs)
    bca = tuple(np.quantile(drawn, bca_levels(drawn, float(alpha), left_out)))
    assert bca == interval(pairs, apart, seed)
    low, high = np.quantile(drawn, [0.025, 0.975])
    half = t_quantile(n - 1) * np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    disagreement, factor = 1 - alpha, np.exp(half / (1 - alpha))
    return {
        "BCa": bca,
        "percentile": (low, high),
        "basic": (2 * alpha - high, 2 * alpha - low),
        "jackknife t": (alpha - half, alpha + half),
        "jackknife t of the log": (1 - disagreement * factor, 1 - disagreement / factor),
    }


def coverage(noise: Noise, level: Level, size: tuple[int, int, float], repeats: int) -> dict[str, float]:
    """The share of repeats in which each interval holds the true alpha."""
    truth, held = true_alpha(noise, level), dict[str, list[bool]]()
    for seed in range(repeats):
        items, annotators, missing = size
        for name, (low, high) in others(labels(noise, items, annotators, seed, missing), level, seed).items():
            held.setdefault(name, []).append(low <= truth <= high)
    return {name: float(np.mean(hits)) for name, hits in held.items()}


def errors(noise: Noise, level: Level, repeats: int) -> tuple[float, float]:
    """At 5,000 items with 3 annotators: the share of alphas within 0.02 of the truth, and the greatest error."""
    truth = true_alpha(noise, level)
    found = [agreement(labels(noise, 5000, 3, seed), level, draws=10) for seed in range(repeats)]
    apart = [abs(each.alpha - truth) for each in found if each is not None]
    return float(np.mean(np.array(apart) < 0.02)), max(apart)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    options = parser.parse_args()
    for name, (noise, level) in NOISES.items():
        for size in SIZES:
            shares = coverage(noise, level, size, options.repeats)
            told = ", ".join(f"{kind} {share:.3f}" for kind, share in shares.items())
            items, annotators, missing = size
            print(f"{name}, {items} items, {annotators} annotators, {missing:.0%} missing: {told}", flush=True)
        truth, (share, most) = true_alpha(noise, level), errors(noise, level, options.repeats)
        print(f"{name}: true alpha {truth:.3f}; 5,000 items: {share:.3f} within 0.02, error at most {most:.4f}")
