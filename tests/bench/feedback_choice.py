"""Labels that a reward model needs for the same accuracy, by how the pairs are chosen: random, margin, information.

python tests/bench/feedback_choice.py [--seeds 20] [--dims 16] [--pool 2000]
python tests/bench/feedback_choice.py --reward FOLDER

Simulated: answers have features, people prefer by w* . x through a logistic curve, whose steepness is their noise. A
Bayesian logistic regression (the posterior's mode, and Laplace's approximation around it) is fitted to all labels so
far after every batch, as a reward model is trained again; batches are chosen by `llmcycle.feedback.choose`.

With --reward, a reward model of the built-in world, x are the features below its last layer of 4,500 pairs of that
world, the people are its verifier with so many answers flipped, and the last layer is what is fitted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from scipy.special import expit

from llmcycle.building import build_part
from llmcycle.config import compose, locate
from llmcycle.config.stages import Stage
from llmcycle.feedback.choose import (
    CHOICES,
    Floats,
    at_random,
    by_information,
    by_margin,
    laplace,
    prior_precision,
)
from llmcycle.feedback.items import items_of
from llmcycle.feedback.uncertainty import margins, opened

PRIOR = 1.0  # precision of the weights
START, BATCH, MOST = 16, 16, 512  # labels: before any choice, a batch, at the end
HELD_OUT = 4000  # pairs that the accuracy is of


class People(NamedTuple):
    """Annotators: how steep their preference is, and the rate at which they say the other answer, whatever it says."""

    steepness: float
    flips: float


NOISES = {"clean (margins of 10)": People(10.0, 0.0), "noisy (margins of 2, 20 % flipped)": People(2.0, 0.2)}


class Problem(NamedTuple):
    """Pairs to choose from and what people say of them, held-out pairs of which the first answer is better, a prior."""

    x_ND: Floats
    y_N: Floats
    test_ND: Floats
    prior: float


def simulated(people: People, dims: int, pool: int, seed: int) -> Problem:
    """Pairs of a world that is drawn."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal(dims)
    truth /= np.linalg.norm(truth)
    # Features of unequal size, as those of a network are.
    scale = np.geomspace(1.0, 0.2, dims)[rng.permutation(dims)]
    x_ND, test_ND = (rng.standard_normal((size, dims)) * scale for size in (pool, HELD_OUT))
    p_N = expit(people.steepness * (x_ND @ truth))
    y_N = (rng.random(pool) < p_N * (1 - people.flips) + (1 - p_N) * people.flips).astype(float)
    return Problem(x_ND, y_N, test_ND * np.sign(test_ND @ truth)[:, None], PRIOR)


def real(features: tuple[Floats, Floats, float], flips: float, seed: int) -> Problem:
    """The built-in world's pairs, turned about at random, with so many labels flipped."""
    rng, (better_ND, test_ND, prior) = np.random.default_rng(seed), features
    turned_N = rng.random(len(better_ND)) < 0.5
    y_N = np.where(rng.random(len(better_ND)) < flips, turned_N, ~turned_N).astype(float)
    return Problem(np.where(turned_N[:, None], -better_ND, better_ND), y_N, test_ND, prior)


def features(folder: str) -> tuple[Floats, Floats, float]:
    """x of the world's pairs for training and for validation, better less worse, and the prior that the verb takes."""
    recipe = compose(locate("reward"), [f"inputs.model={folder}", "data.human_error=0.0"])
    data, engine = build_part(Stage(recipe), "data"), opened(Path(folder))
    pairs = {part: items_of(getattr(data, part), "choice", part) for part in ("train", "validation")}
    (x_ND, margin_N), (test_ND, _) = (margins(engine, pairs[part]) for part in pairs)
    return x_ND, test_ND, prior_precision(x_ND, margin_N)


def mode(x_ND: Floats, y_N: Floats, start_D: Floats, prior: float) -> Floats:
    """The weights of the highest posterior probability, by Newton's method."""
    w_D = start_D
    for _ in range(30):
        p_N = expit(x_ND @ w_D)
        gradient = x_ND.T @ (y_N - p_N) - prior * w_D
        step = laplace(x_ND, x_ND @ w_D, prior) @ gradient
        w_D = w_D + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-6:
            break
    return w_D


def choose(how: str, problem: Problem, free: list[int], w_D: Floats, seen_ND: Floats, draw: int) -> list[int]:
    """Places of the next batch among the pairs that have no label."""
    x, prior = problem.x_ND[free], problem.prior
    ways: dict[str, Callable[[], list[int]]] = {
        "random": lambda: at_random(len(free), BATCH, draw),
        "margin": lambda: by_margin(x @ w_D, BATCH),
        "information": lambda: by_information(x, x @ w_D, laplace(seen_ND, seen_ND @ w_D, prior), BATCH),
    }
    return [free[place] for place in ways[how]()]


def curve(how: str, problem: Problem, seed: int) -> list[float]:
    """Accuracy on held-out pairs, after START labels and each BATCH more."""
    pool = len(problem.y_N)
    chosen, w_D, accuracies = at_random(pool, START, seed), np.zeros(problem.x_ND.shape[1]), list[float]()
    while True:
        seen = problem.x_ND[chosen]
        w_D = mode(seen, problem.y_N[chosen], w_D, problem.prior)
        accuracies.append(float(np.mean(problem.test_ND @ w_D > 0)))
        if len(chosen) >= MOST:
            return accuracies
        known = set(chosen)
        free = [place for place in range(pool) if place not in known]
        chosen = chosen + choose(how, problem, free, w_D, seen, seed * 1000 + len(chosen))


def labels_needed(accuracies: list[float], wanted: float) -> float:
    """Labels after which the accuracy is there and stays, between batches on a line; infinity where it never is."""
    late = np.flatnonzero(np.array(accuracies) < wanted)
    if not len(late):
        return float(START)
    place = int(late[-1])
    if place + 1 == len(accuracies):
        return float("inf")
    before, after = accuracies[place : place + 2]
    return START + BATCH * (place + (wanted - before) / (after - before))


def ratios(curves: dict[str, list[list[float]]], wanted: float, how: str, seed: int = 0) -> tuple[float, float, float]:
    """Median over seeds of the labels needed over those of random, and its 95 % bootstrap interval."""
    pairs = [
        (labels_needed(own, wanted), labels_needed(usual, wanted))
        for own, usual in zip(curves[how], curves["random"], strict=True)
    ]
    # One that never gets there needs more than all: it counts as twice as many.
    each = np.array([min(own, 2 * MOST) / min(usual, 2 * MOST) for own, usual in pairs])
    rng = np.random.default_rng(seed)
    medians = np.median(rng.choice(each, (2000, len(each))), axis=1)
    return float(np.median(each)), float(np.quantile(medians, 0.025)), float(np.quantile(medians, 0.975))


def told(curves: dict[str, list[list[float]]], count: int) -> str:
    """Mean accuracy after so many labels."""
    place = (count - START) // BATCH
    return ", ".join(f"{how} {np.mean([each[place] for each in found]):.3f}" for how, found in curves.items())


def compared(name: str, problems: list[Problem]) -> None:
    """Print what each way reaches, and what it needs to reach what random choice does after 128 and 256 labels."""
    curves = {how: [curve(how, problem, seed) for seed, problem in enumerate(problems)] for how in CHOICES}
    print(f"{name}: after 128 labels {told(curves, 128)}; after 512 {told(curves, 512)}", flush=True)
    for count in (128, 256):
        wanted = float(np.mean([each[(count - START) // BATCH] for each in curves["random"]]))
        for how in ("margin", "information"):
            middle, low, high = ratios(curves, wanted, how)
            share = f"{middle:.2f} [{low:.2f}, {high:.2f}]"
            print(f"  to {wanted:.3f}: {how} needs {share} of random's labels", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--dims", type=int, default=16)
    parser.add_argument("--pool", type=int, default=2000)
    parser.add_argument("--reward", help="the folder of a reward model of the built-in world")
    options = parser.parse_args()
    seeds = range(options.seeds)
    if options.reward:
        found = features(options.reward)
        for flips in (0.0, 0.25):
            compared(f"real features, {flips:.0%} flipped", [real(found, flips, seed) for seed in seeds])
    else:
        for name, people in NOISES.items():
            compared(name, [simulated(people, options.dims, options.pool, seed) for seed in seeds])
