"""The table of a sweep: one line an arm, the headline of each stage that the arms do not share, seeds as replicates."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from llmcycle.evaluate.interval import t_quantile
from llmcycle.evaluate.metric import Metric, headline
from llmcycle.report.numbers import number
from llmcycle.report.record import read_metrics, read_report


@dataclass(frozen=True)
class Arm:
    """One run of a sweep: the overrides that set it apart, seeds aside, its report, and whether a stage failed."""

    words: tuple[str, ...]
    report: dict[str, Any]

    @property
    def label(self) -> str:
        """What sets it apart, in a line."""
        return " ".join(self.words) or "(as composed)"

    @property
    def error(self) -> str | None:
        """The first failure's reason, or why a search ended it early."""
        return next((str(stage["error"]) for stage in self.report["stages"] if stage["error"] is not None), None)

    @property
    def pruned(self) -> bool:
        """Whether a search ended it early."""
        return any(stage.get("pruned") for stage in self.report["stages"])

    @property
    def failed(self) -> bool:
        """Whether a stage failed."""
        return self.error is not None and not self.pruned

    def stage(self, name: str) -> dict[str, Any] | None:
        """The record of one stage."""
        return next((stage for stage in self.report["stages"] if stage["name"] == name), None)


def read_arms(sweep: Path) -> list[Arm]:
    """The arms of a sweep's folder in the order of their numbers. Arms that wrote no report are left out."""
    paths = sorted(sweep.glob("*/report.json"), key=lambda path: (len(path.parent.name), path.parent.name))
    reports = [read_report(path) for path in paths]
    shared = set.intersection(*(set(report["run"]["overrides"]) for report in reports)) if reports else set()
    own = [[text for text in r["run"]["overrides"] if text not in shared and not is_seed(text)] for r in reports]
    return [Arm(tuple(words), report) for words, report in zip(own, reports, strict=True)]


def is_seed(override: str) -> bool:
    """Whether an override only asks for another replicate."""
    return override.partition("=")[0].rpartition(".")[2] == "seed"


def varied(arms: Sequence[Arm]) -> list[str]:
    """Stages whose artifacts differ between arms, in order; all of them when there is one arm."""
    names = list(dict.fromkeys(stage["name"] for arm in arms for stage in arm.report["stages"]))
    ids = {name: {(arm.stage(name) or {}).get("artifact_id") for arm in arms} for name in names}
    return [name for name in names if len(ids[name]) > 1] or names[-1:]


def headline_of(arm: Arm, name: str) -> tuple[str, Metric] | None:
    """Name and metric that tells most of a stage; None where it has none, or no number."""
    stage = arm.stage(name)
    metrics = read_metrics(stage["metrics"]) if stage else {}
    metric = headline(metrics)
    if metric is None or math.isnan(metrics[metric].value):
        return None
    return metric, metrics[metric]


def cell(values: Sequence[float]) -> str:
    """One value, or mean and 95 % interval of several replicates."""
    if len(values) < 2:
        return number(values[0]) if values else "-"
    half = t_quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return f"{number(fmean(values))} ± {number(half)}"


def table(arms: Sequence[Arm]) -> list[list[str]]:
    """Header and rows as texts."""
    stages = varied(arms)
    heads = {name: next((pair[0] for arm in arms if (pair := headline_of(arm, name))), "") for name in stages}
    rows = [["arm", "runs", *(f"{name} {heads[name]}".strip() for name in stages), ""]]
    for group in dict.fromkeys(arm.label for arm in arms):
        members = [arm for arm in arms if arm.label == group]
        good = [arm for arm in members if arm.error is None]
        cells = [cell([pair[1].value for arm in good if (pair := headline_of(arm, name))]) for name in stages]
        failures = "; ".join(dict.fromkeys(first_line(arm.error) for arm in members if arm.error is not None))
        if failures:
            failures = f"{'failed' if any(arm.failed for arm in members) else 'pruned'}: {failures}"
        rows.append([group, str(len(members)), *cells, failures])
    return rows


def best(arms: Sequence[Arm]) -> str:
    """The command of the arm with the best mean in the last stage that varies, and that mean; "" where none is best.

    Arms that failed, in whatever replicate, are never the best.
    """
    name = varied(arms)[-1]
    metrics: dict[str, list[Metric | None]] = {}
    for arm in arms:
        pair = headline_of(arm, name) if arm.error is None else None
        metrics.setdefault(arm.label, []).append(pair[1] if pair else None)
    whole = {label: [m for m in each if m] for label, each in metrics.items() if None not in each}
    better = {metric.better for each in whole.values() for metric in each}
    if better not in ({"higher"}, {"lower"}):
        return ""
    means = {label: fmean(metric.value for metric in each) for label, each in whole.items()}
    top = (max if better == {"higher"} else min)(means.values())
    first, *equals = (label for label in means if means[label] == top)
    if len(means) < 2 or equals:
        return ""
    run = next(arm for arm in arms if arm.label == first).report["run"]
    words = [text for text in run["overrides"] if not is_seed(text)]
    return f"best: {shlex.join(['llmcycle', typed_recipe(run), *words])}  ({number(top)})"


def typed_recipe(run: Mapping[str, Any]) -> str:
    """The recipe as it was typed: its name, or its path."""
    endings = (run["recipe"], f"{run['recipe']}.yaml")
    return next((word for word in shlex.split(run["command"]) if word.endswith(endings)), run["recipe"])


def first_line(reason: str) -> str:
    """The first line of a failure's reason."""
    return (reason.splitlines() or [""])[0]


def render(rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns; "" of nothing."""
    rows = list(rows)
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def by_rank(arms: Sequence[Arm]) -> list[Arm]:
    """The arms with the best value of the last stage that varies first; those that have none last."""
    name = varied(arms)[-1]
    pairs = {id(arm): headline_of(arm, name) if arm.error is None else None for arm in arms}
    sign = next((-1 if pair[1].better == "higher" else 1 for pair in pairs.values() if pair), 1)
    return sorted(arms, key=lambda arm: sign * pair[1].value if (pair := pairs[id(arm)]) else math.inf)
