"""What a stage reports: one number, what it was before, and how sure we are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Better = Literal["higher", "lower", "neutral"]


@dataclass(frozen=True)
class Metric:
    """One measured number.

    Args:
        value: the number after the stage, in `unit`.
        before: the same number before the stage, where that means something.
        interval: 95 % interval of `value - before` when `before` is given, else of `value`.
        better: the direction that is an improvement.
        unit: e.g. "nats/token", "tokens/s", "bytes", "s"; "" for a rate in [0, 1] or a count.
        n: how many rows, prompts or tokens the number stands on.
        headline: whether its stage says of it that it tells most.
    """

    value: float
    before: float | None = None
    interval: tuple[float, float] | None = None
    better: Better = "neutral"
    unit: str = ""
    n: int | None = None
    headline: bool = False


Metrics = dict[str, Metric]


def led_by(name: str, metrics: Metrics) -> Metrics:
    """The metrics with `name` marked as the headline."""
    return {key: replace(metric, headline=key == name) for key, metric in metrics.items()}


def headline(metrics: Mapping[str, Metric]) -> str | None:
    """Name of the metric that tells most: the marked one, the first where the stage has marked none."""
    return next((name for name, metric in metrics.items() if metric.headline), next(iter(metrics), None))


def headline_first(metrics: Metrics) -> Metrics:
    """The same metrics, the headline before all others."""
    name = headline(metrics)
    return metrics if name is None else {name: metrics[name], **metrics}
