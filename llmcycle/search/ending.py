"""How an arm of a search ended: read from its report, which a launcher's other processes write as well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from llmcycle.config.errors import ConfigError, choose
from llmcycle.evaluate.metric import Metric, headline
from llmcycle.evaluate.scores import Scores, read_scores, that_choose
from llmcycle.report import read_metrics, read_report

State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Ending:
    """What became of a trial.

    Args:
        state: whether it was ended early, or a stage of it failed.
        loss: what is made less: the metric, or its negative where more is better; on rows that choose, if it has rows.
        seconds: that its stages took.
        reason: why it failed or was pruned.
    """

    state: State
    loss: float = math.inf
    seconds: float = 0.0
    reason: str = ""


def read_ending(folder: Path, metric: str | None) -> Ending | None:
    """How the arm in `folder` ended; None where it has not.

    Raises:
        ConfigError: no stage has the metric.
    """
    path = folder / "report.json"
    if not path.exists():
        return None
    stages = read_report(path)["stages"]
    seconds = sum(float(stage["seconds"]) for stage in stages)
    error = next((stage for stage in stages if stage["error"] is not None), None)
    if error is not None:
        return Ending("pruned" if error.get("pruned") else "failed", seconds=seconds, reason=str(error["error"]))
    name, stage = leading(stages, metric)
    if not name and metric:
        known = sorted({key for each in stages for key in each["metrics"]})
        raise ConfigError("search.metric", f"no stage has {metric}", f"search.metric={choose(metric, known)}")
    if not name:
        return Ending("failed", seconds=seconds, reason="no stage has a metric")
    return complete(read_metrics(stage["metrics"])[name], read_scores(folder / stage["name"]).get(name), seconds)


def leading(stages: Sequence[dict[str, Any]], metric: str | None) -> tuple[str, dict[str, Any]]:
    """The metric that is made better, and the last stage of a report that has it; ("", {}) where none has."""
    for stage in reversed(stages):
        metrics = read_metrics(stage["metrics"])
        if (name := metric or headline(metrics)) is not None and name in metrics:
            return name, stage
    return "", {}


def complete(metric: Metric, scores: Scores | None, seconds: float) -> Ending:
    """The ending of an arm whose stages all went well."""
    value = metric.value if scores is None else that_choose(scores).mean
    if math.isnan(value) or metric.better == "neutral":
        reason = "the metric is no number" if math.isnan(value) else "no value of the metric is better than another"
        return Ending("failed", seconds=seconds, reason=reason)
    return Ending("complete", -value if metric.better == "higher" else value, seconds)


def together(endings: Sequence[Ending]) -> Ending:
    """The ending of a trial by those of its replicates: the mean, where all of them are complete."""
    seconds = sum(ending.seconds for ending in endings)
    other = next((ending for ending in endings if ending.state != "complete"), None)
    if other is not None:
        return Ending(other.state, seconds=seconds, reason=other.reason)
    return Ending("complete", fmean(ending.loss for ending in endings), seconds)
