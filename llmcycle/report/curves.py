"""What a stage logged over its steps, as series that every rendering of a report draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from llmcycle.report.numbers import number

FIRST = ("loss", "reward", "kl", "lr", "grad_norm")  # what a reader looks for, in this order; the rest after it
VALIDATION = "validation/"  # before the name of the same value on validation rows
BARS = "▁▂▃▄▅▆▇█"
LINES = 3  # of a curve on a terminal


@dataclass(frozen=True)
class Series:
    """Values over steps, or over another value.

    Args:
        name: as the stage logged it.
        points: (step, value), in the order of training.
        resumed: steps at which an interrupted run went on.
        over: what the first of each pair is.
        peak: the place at which the weights were taken; None where that is not told.
    """

    name: str
    points: list[tuple[float, float]]
    resumed: list[float]
    over: str = "step"
    peak: float | None = None

    @property
    def values(self) -> list[float]:
        """Without their steps."""
        return [value for _, value in self.points]


def charts(curves: Mapping[str, Any]) -> list[list[Series]]:
    """The series of a stage, those of one chart together: a value in training and the same on validation rows."""
    every = {name: series(name, curves["points"], curves) for name in names(curves.get("points", ()))}
    judged = {name: series(name, curves["judged"], curves) for name in names(curves.get("judged", ()))}
    own = [name for name in every if not name.startswith(VALIDATION)]
    own.sort(key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    together = [[each for key in (name, VALIDATION + name) if (each := every.get(key))] for name in own]
    return [chart for chart in [*together, *([each] for each in judged.values())] if len(chart[0].points) > 1]


def followed(curves: Mapping[str, Any]) -> list[list[Series]]:
    """Of a policy that followed a reward: that reward, and the gold reward with its smoothed values, over the KL."""
    curve = curves.get("followed") or {"over": "", "points": []}
    over, points = curve["over"], [point for point in curve["points"] if curve["over"] in point]

    def line(name: str) -> Series:
        return Series(name, [(p[over], p[name]) for p in points if name in p], [], over, curve.get("peak"))

    drawn = [[line("proxy")], [line("gold"), line("smoothed")]]
    return [chart for chart in drawn if len(chart[0].points) > 1]


def names(points: Sequence[Mapping[str, float]]) -> list[str]:
    """All values that some point has."""
    return list(dict.fromkeys(name for point in points for name in point if name != "step"))


def series(name: str, points: Sequence[Mapping[str, float]], curves: Mapping[str, Any]) -> Series:
    """The points that have this value."""
    return Series(name, [(p["step"], p[name]) for p in points if name in p], list(curves.get("resumed", ())))


def in_words(line: Series) -> str:
    """Where a curve starts and ends, e.g. `loss 6.261 at step 10, 0.332 at step 900`."""
    start, end = line.points[0], line.points[-1]
    return f"{line.name} {number(start[1])} at step {start[0]:.0f}, {number(end[1])} at step {end[0]:.0f}"


def followed_in_words(curves: Mapping[str, Any]) -> str:
    """E.g. `gold 0.460 at the start, 1.490 at its peak, 0.380 nats away, 0.800 at last; proxy 1.010, 1.730, 1.850`."""
    lines = {chart[-1].name: chart[-1] for chart in followed(curves)}
    if "smoothed" not in lines:
        return ""
    gold = lines["smoothed"]
    place = max(range(len(gold.points)), key=lambda look: gold.values[look])
    start, top, end = (number(gold.values[look]) for look in (0, place, -1))
    words = f"gold {start} at the start, {top} at its peak, {number(gold.points[place][0])} nats away, {end} at last"
    if "proxy" in lines:
        words += f"; proxy {', '.join(number(lines['proxy'].values[look]) for look in (0, place, -1))}"
    return words


def in_blocks(values: Sequence[float], width: int, lines: int = LINES) -> list[str]:
    """A curve of `lines` lines of text, at most `width` columns wide; neighbours that share a column are averaged."""
    columns = min(width, len(values))
    bounds = [round(i * len(values) / columns) for i in range(columns + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(bounds)]
    low, high = min(means), max(means)
    steps = lines * len(BARS) - 1
    heights = [round((mean - low) / (high - low) * steps) if high > low else 0 for mean in means]
    rows = ("".join(_block(height - line * len(BARS)) for height in heights) for line in reversed(range(lines)))
    return [row.rstrip() for row in rows]


def _block(height: int) -> str:
    return " " if height < 0 else BARS[min(height, len(BARS) - 1)]
