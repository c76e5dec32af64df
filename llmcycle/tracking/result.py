"""What a stage has to tell its trackers when it is done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmcycle.artifact import Artifact
from llmcycle.evaluate.metric import Metric
from llmcycle.evaluate.scores import change, read_scores

Table = list[dict[str, Any]]


@dataclass(frozen=True)
class Result:
    """A stage that has ended well.

    Args:
        artifact: what it made, or found made.
        metrics: of it.
        inputs: the artifacts of this store that it was made from, by input.
        tables: rows for a person to look at, by name.
        maker: where a tracker keeps the run that made an artifact which was there before: `Wandb.place`.
    """

    artifact: Artifact
    metrics: Mapping[str, Metric]
    inputs: Mapping[str, Artifact] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    maker: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scalars(self) -> dict[str, float]:
        """See `scalars`."""
        return scalars(self.metrics, self.artifact.folder)


def scalars(metrics: Mapping[str, Metric], folder: Path) -> dict[str, float]:
    """`final/NAME` and its own 95 % interval as `/low` and `/high`; where it was known before, `/before` and `/change`
    with the interval of the change as `/change_low` and `/change_high`. What is not finite is left out.

    Args:
        metrics: of a stage.
        folder: where it has left its scores row by row, if it has.
    """
    own = {name: change(None, each).interval for name, each in read_scores(folder).items()}
    values = {
        f"final/{name}{suffix}": value
        for name, metric in metrics.items()
        for suffix, value in parts(metric, own.get(name)).items()
    }
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def parts(metric: Metric, own: tuple[float, float] | None) -> dict[str, float | None]:
    """The numbers of a metric by the endings of their names; `own` is the interval of its value, where known."""
    nothing = None, None
    if metric.before is None:
        low, high = metric.interval or nothing
        return {"": metric.value, "/low": low, "/high": high}
    (low, high), (change_low, change_high) = own or nothing, metric.interval or nothing
    return {
        **{"": metric.value, "/low": low, "/high": high, "/before": metric.before},
        **{"/change": metric.value - metric.before, "/change_low": change_low, "/change_high": change_high},
    }
