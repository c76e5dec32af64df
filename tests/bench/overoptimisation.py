"""A reward model with a planted flaw, followed by best-of-n and by RLOO: proxy and gold reward over the KL it costs.

python tests/bench/overoptimisation.py [--plot FILE]     the curves
python tests/bench/overoptimisation.py --stop            where `callbacks=over_optimisation` stops, and what it hands on

All 16 answers of `tests/enumerable.py` can be written down, so that every figure but the path of RLOO's draws is exact:
the KL of best-of-n too, of which log n - (n - 1) / n is only a bound. The proxy pays for each time that one letter is
said, as a length bias pays for each word.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import enumerable
from enumerable import Path16, along, best_of_draws, distribution, flawed, option, prompts, reference
from learners import train
from torch import Tensor

from llmcycle.align import Policy
from llmcycle.align.rollouts import Sampling

SIZES = (1, 2, 4, 8, 16, 32, 64)
# Of the pull to the reference.
STRENGTHS = (64, 16, 8, 4, 2, 1.4, 1, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2)
STEPS, RATE, EVERY = 200, 2e-4, 2
BETA, SEEDS = 0.2, 3
STYLES = {"closed form": ("0.4", ""), "best of n": ("C0", "o"), "RLOO": ("C1", ".")}


class Point(NamedTuple):
    """Where a policy stands: nats from the reference, and both rewards."""

    kl: float
    proxy: float
    gold: float


def point(policy: Tensor, start: Tensor, proxy: Tensor, gold: Tensor) -> Point:
    """Of the probabilities [16] of a policy; `start` has the reference's logs."""
    kl = (policy * (policy.log() - start)).nansum()
    return Point(kl.item(), (policy * proxy).sum().item(), (policy * gold).sum().item())


def lines() -> dict[str, list[Point]]:
    """By what follows the proxy; several runs of RLOO, whose draws differ."""
    start, (gold, proxy) = distribution(reference(0)), flawed()
    found = {
        "closed form": [Point(*place) for place in along(start, proxy, gold, STRENGTHS)],
        "best of n": best_of_n(start, proxy, gold),
        "RLOO": rloo(start, proxy, gold, 0),
    }
    return found | {f"RLOO, seed {seed}": rloo(start, proxy, gold, seed) for seed in range(1, SEEDS)}


def best_of_n(start: Tensor, proxy: Tensor, gold: Tensor) -> list[Point]:
    """One point a size."""
    return [point(best_of_draws(start, proxy, n), start, proxy, gold) for n in SIZES]


def rloo(start: Tensor, proxy: Tensor, gold: Tensor, seed: int) -> list[Point]:
    """The path of one run."""
    policy = Policy(
        loss=option("loss", "rloo", beta=BETA),
        reward=enumerable.Table(proxy),
        sampling=Sampling(group_size=8, max_new_tokens=2),
        advantage=option("advantage", "leave_one_out"),
        table_every=0,
        seed=seed,
    )
    module = enumerable.learner(policy, reference(0), {}, RATE, STEPS)
    path = [point(start.exp(), start, proxy, gold)]

    def watch(step: int) -> None:
        if (step + 1) % EVERY == 0:
            path.append(point(distribution(module.model).exp(), start, proxy, gold))

    train(module, prompts(32), STEPS, RATE, clip=1.0, watch=watch)
    return path


class Stop(NamedTuple):
    """A run that was stopped, beside the whole one of the same draws: both know the exact gold reward of each step.

    Args:
        stopped: the step after which it stopped.
        chosen: the step whose weights were handed on.
        handed, start, peak, end: gold rewards, of those weights, before training, at the best step and at the last.
        at: the best step.
        kl, kl_at: nats from the reference, of the weights handed on and at the best step.
    """

    stopped: int
    chosen: int
    handed: float
    start: float
    peak: float
    at: int
    end: float
    kl: float
    kl_at: float

    @property
    def short(self) -> float:
        """By how much of the peak's gold reward the weights handed on miss it."""
        return (self.peak - self.handed) / self.peak

    @property
    def short_of_rise(self) -> float:
        """The same of the rise from the start to the peak."""
        return (self.peak - self.handed) / (self.peak - self.start)


def stop(seed: int, rows: int, every: int, answers: int = 4) -> Stop:
    """One run with the callback, and one that only looks."""
    start, (gold, proxy) = distribution(reference(0)), flawed()

    def run(patience: float) -> tuple[Any, Any, Path16]:
        settings = {"every_n_steps": every, "rows": rows, "answers": answers, "patience": patience}
        with TemporaryDirectory() as folder:
            return enumerable.followed(Path(folder), proxy, gold, seed, STEPS, **settings)

    _, _, whole = run(1e9)
    places = [point(place.exp(), start, proxy, gold) for place in whole.places]
    best = max(range(len(places)), key=lambda step: places[step].gold)
    metrics, model, _ = run(3.0)
    handed = point(distribution(model).exp(), start, proxy, gold)
    return Stop(
        int(metrics["optimizer_steps"].value), int(metrics["best_step"].value), handed.gold, places[0].gold,
        places[best].gold, best, places[-1].gold, handed.kl, places[best].kl,
    )  # fmt: skip


def stops() -> str:
    """Markdown: seeds by how much is asked at a look."""
    columns = (
        "rows, every",
        "seed",
        "stopped",
        "handed on: step, gold, KL",
        "peak: the same",
        "at last",
        "short, of rise",
    )
    lines = [f"| {' | '.join(columns)} |", "|---|---|---|---|---|---|---|"]
    for rows, every in ((64, 2), (256, 2), (64, 10)):
        for seed in range(SEEDS):
            found = stop(seed, rows, every)
            handed = f"{found.chosen}, {found.handed:.3f}, {found.kl:.2f}"
            best = f"{found.at}, {found.peak:.3f}, {found.kl_at:.2f}"
            missing = f"{found.short:.1%}, {found.short_of_rise:.1%}"
            cells = (f"{rows}, {every}", seed, found.stopped, handed, best, f"{found.end:.2f}", missing)
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def table(lines: Mapping[str, Sequence[Point]]) -> str:
    """Markdown: where each begins, where its gold reward is highest, and where it ends."""
    rows = ["| KL, proxy, gold | at first | gold at its highest | at last |", "|---|---|---|---|"]
    for name, line in lines.items():
        highest = max(line, key=lambda place: place.gold)
        rows.append(f"| {name} | {' | '.join(told(place) for place in (line[0], highest, line[-1]))} |")
    return "\n".join(rows)


def told(place: Point) -> str:
    """Its three numbers."""
    return ", ".join(f"{value:.2f}" for value in place)


def plot(lines: Mapping[str, Sequence[Point]], file: Path) -> None:
    """Proxy reward dashed and gold reward whole over the KL, a colour each way to follow the proxy."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7.5, 5), layout="constrained")
    for name, line in lines.items():
        kind = name.split(",")[0]
        colour, shape = STYLES[kind]
        kl, proxy, gold = zip(*line, strict=True)
        axis.plot(kl, proxy, f"{shape}--", color=colour, lw=1, alpha=0.6)
        axis.plot(kl, gold, f"{shape}-", color=colour, lw=1, label=kind if name == kind else None)
    for n, place in zip(SIZES, lines["best of n"], strict=True):
        axis.annotate(
            str(n), (place.kl, place.gold), xytext=(3, 5), textcoords="offset points", color=STYLES["best of n"][0]
        )
    axis.set(xlabel="KL to the reference, nats", ylabel="reward: proxy dashed, gold whole")
    axis.grid(alpha=0.2)
    axis.legend(frameon=False)
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--stop", action="store_true")
    arguments = parser.parse_args()
    if arguments.stop:
        print(stops())
    else:
        found = lines()
        print(table(found))
        if arguments.plot:
            plot(found, arguments.plot)
