"""Numbers as people read them, and what may be concluded from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from llmcycle.evaluate.metric import Metric

ARROWS = {"higher": "↑", "lower": "↓", "neutral": ""}
Judgement = Literal["better", "worse", "unclear", "measured"]


def judge(metric: Metric) -> Judgement:
    """Whether the change is an improvement beyond its 95 % interval; "measured" where there is none to judge by."""
    if metric.before is None or metric.interval is None or metric.better == "neutral":
        return "measured"
    low, high = metric.interval
    if not (low > 0 or high < 0):
        return "unclear"
    return "better" if (low > 0) == (metric.better == "higher") else "worse"


def number(value: float, unit: str = "") -> str:
    """Four digits or so; bytes with their prefix, counts whole."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    if unit == "bytes":
        return _bytes(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.001 else f"{value:.2e}"


def signed(value: float, unit: str = "") -> str:
    """A difference with its sign."""
    return ("+" if value > 0 else "") + number(value, unit)


def title(name: str, metric: Metric) -> str:
    """The metric's name, unit and direction, e.g. `loss (nats/token) ↓`."""
    unit = f"({metric.unit})" if metric.unit and metric.unit != "bytes" else ""
    return " ".join(part for part in (name, unit, ARROWS[metric.better]) if part)


def before(metric: Metric) -> str:
    """The value before the stage."""
    return "" if metric.before is None else number(metric.before, metric.unit)


def after(metric: Metric) -> str:
    """The value after the stage."""
    return number(metric.value, metric.unit)


def difference(metric: Metric) -> str:
    """The signed difference with its 95 % interval; without a value before, the interval of the value itself."""
    if metric.before is None:
        return _interval(metric, number)
    return f"{signed(metric.value - metric.before, metric.unit)} {_interval(metric, signed)}".rstrip()


def seconds(value: float) -> str:
    """Whole seconds, tenths below ten."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def duration(seconds: float) -> str:
    """A span of time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bytes(value: float) -> str:
    for prefix, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:.2f} {prefix}B"
    return f"{value:.0f} B"


def _interval(metric: Metric, text: Callable[[float, str], str]) -> str:
    return f"[{', '.join(text(bound, metric.unit) for bound in metric.interval)}]" if metric.interval else ""
