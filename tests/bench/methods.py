"""Methods of alignment at an equal budget of training, from the same fine-tuned artifacts: a plot and a table.

python tests/bench/methods.py OUTPUTS FINETUNED:REWARD ... [--seconds 60] [--plot FILE]     a pair of artifacts a seed

The budget is seconds of the processor that the training process works, its rollouts, rewards and reference among them
and evaluation apart: on a shared machine those of the clock say how busy the others are. A short run of each method
on the first model tells its pace, and so the steps that the budget is worth; what they took stands in the table. Every
figure is of rows that choose nothing. The mean over seeds stands beside the lowest and the highest.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import llmcycle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from llmcycle.evaluate.metric import Metrics

METHODS = {
    "dpo": ["align", "loss=dpo", "loss.beta=0.1"],
    "simpo": ["align", "loss=simpo", "loss.beta=2.0"],
    "kto": ["kto", "loss.beta=0.5"],
    "ppo": ["ppo", "loss.beta=0.5", "inputs.reward={reward}"],
    "grpo": ["reinforce", "loss=grpo", "advantage=group", "loss.beta=0.5", "inputs.reward={reward}"],
    "rloo": ["reinforce", "loss=rloo", "advantage=leave_one_out", "loss.beta=0.5", "inputs.reward={reward}"],
}
HHH = ("bad", "helpful", "honest", "harmless", "over_refusal")
SHOWN = (*HHH, "exact_match_known", "learnt", "kept", "admitted", "general_bits_per_byte")
PROBE = 24  # steps that tell a pace: the first ones are slow, and PPO takes four from the same answers


def run(method: str, outputs: str, model: str, reward: str, steps: int, evaluate: str) -> Metrics:
    """A method's metrics, each with its value before training where it has one."""
    recipe, *overrides = METHODS[method]
    settings = [override.format(reward=reward) for override in overrides]
    common = [f"outputs={outputs}", f"inputs.model={model}", f"trainer.max_steps={steps}", f"evaluate={evaluate}"]
    return llmcycle.run(recipe, [*settings, *common]).metrics


def row(method: str, outputs: str, model: str, reward: str, steps: int) -> dict[str, float]:
    """What one method makes of one model: seconds, and values after and before."""
    metrics = run(method, outputs, model, reward, steps, "[hhh,knowledge,forgetting]")
    after = {key: metrics[key].value for key in SHOWN}
    before = {f"{key}_before": metrics[key].before or 0.0 for key in SHOWN}
    return {"steps": steps, "seconds": metrics["processor_seconds"].value, **after, **before}


def worth(method: str, outputs: str, model: str, reward: str, seconds: float) -> int:
    """Steps that some seconds are worth."""
    probe = run(method, outputs, model, reward, PROBE, "[]")["processor_seconds"].value
    return max(PROBE, round(seconds * PROBE / probe))


def scored(outputs: str, pairs: Sequence[str], seconds: float) -> dict[str, list[dict[str, float]]]:
    """By method, one row a seed."""
    models = [pair.split(":") for pair in pairs]
    steps = {name: worth(name, outputs, *models[0], seconds) for name in METHODS}
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
    for model, reward in models:
        for name in METHODS:
            rows[name].append(row(name, outputs, model, reward, steps[name]))
            print(json.dumps({"model": model, "method": name, **rows[name][-1]}), flush=True)
    return rows


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Markdown: mean (lowest to highest) over seeds."""
    columns = ("steps", "seconds", *SHOWN)
    lines = [f"| method | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    before = [{key: seed[f"{key}_before"] for key in SHOWN} for seed in next(iter(rows.values()))]
    for name, seeds in {"before": before, **rows}.items():
        values = {key: [seed[key] for seed in seeds if key in seed] for key in columns}
        cells = [spread(values[key], 2 if key in SHOWN else 0) for key in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: Sequence[float], digits: int) -> str:
    """Mean (lowest to highest)."""
    if not values:
        return "-"
    return f"{fmean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def plot(rows: dict[str, list[dict[str, float]]], file: Path) -> None:
    """Bad answers against over-refusal and exact match: a small mark a seed, a large one the mean over seeds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    start = next(iter(rows.values()))
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4.6), sharex=True, layout="constrained")
    shown = {"over_refusal": "refused although known", "exact_match_known": "exact match of known facts"}
    for axis, (key, label) in zip(axes, shown.items(), strict=True):
        axis.axvline(fmean(seed["bad_before"] for seed in start) / 2, color="0.6", ls=":", label="half of before")
        marks(axis, [(seed["bad_before"], seed[f"{key}_before"]) for seed in start], "before", "0.3", "X")
        for number, (name, seeds) in enumerate(rows.items()):
            marks(axis, [(seed["bad"], seed[key]) for seed in seeds], name, f"C{number}", "osD^vP"[number])
        axis.set(xlabel="dishonest or harmful answers", ylabel=label)
        axis.grid(alpha=0.2)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    figure.savefig(file, dpi=150)


def marks(axis: Axes, places: Sequence[tuple[float, float]], label: str, colour: str, shape: str) -> None:
    """Of one method."""
    x, y = zip(*places, strict=True)
    axis.plot(x, y, shape, color=colour, ms=4, alpha=0.5)
    axis.plot(fmean(x), fmean(y), shape, color=colour, ms=10, mec="white", label=label)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outputs")
    parser.add_argument("pairs", nargs="+", metavar="FINETUNED:REWARD")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    results = scored(arguments.outputs, arguments.pairs, arguments.seconds)
    print(table(results))
    if arguments.plot:
        plot(results, arguments.plot)
