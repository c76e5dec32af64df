"""What a stage reports: one number, what it was before, and how sure we are."""

from __future__ import annotations

from dataclasses import dataclass
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
    """

    value: float
    before: float | None = None
    interval: tuple[float, float] | None = None
    better: Better = "neutral"
    unit: str = ""
    n: int | None = None


Metrics = dict[str, Metric]
