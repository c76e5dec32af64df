"""The comparison as a picture: a line a method, its score with its interval, and beside it what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmcycle.comparison.points import Point
from llmcycle.comparison.table import rank

# Blue, orange and grey of Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = {"trained": "#0072B2", "prompted": "#D55E00", "untrained": "#777777"}
PANELS = (
    ("trainable_parameters", "trained parameters", 1.0),
    ("gradient_and_optimizer_state_bytes", "gradients and\noptimiser (MB)", 1e6),
    ("peak_memory", "peak memory (MB)", 1e6),
    ("seconds", "training (s)", 1.0),
)


def draw(metric: str, points: Sequence[Point], path: Path) -> None:
    """Write a PNG of the points that have a score, the best on top."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [point for point in rank(points) if point.value is not None][::-1]
    panels = [panel for panel in PANELS if any(panel[0] in point.costs for point in shown)]
    widths = [3.0, *[1.4] * len(panels)]
    figure, axes = pyplot.subplots(
        1, len(widths), sharey=True, squeeze=False, width_ratios=widths, layout="constrained",
        figsize=(5 + 2.2 * len(panels), max(2.4, 0.26 * len(shown) + 1.2)),
    )  # fmt: skip
    _scores(axes[0][0], metric, shown)
    for axis, (key, title, unit) in zip(axes[0][1:], panels, strict=True):
        _costs(axis, key, title, unit, shown)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _scores(axis: Any, metric: str, shown: Sequence[Point]) -> None:
    for place, point in enumerate(shown):
        low, high = point.interval or (point.value, point.value)
        axis.plot([low, high], [place, place], color=COLOURS[point.kind], linewidth=1.6)
        axis.plot([point.value], [place], "o", color=COLOURS[point.kind], markersize=5)
    axis.set_yticks(range(len(shown)), [point.label for point in shown])
    for tick, point in zip(axis.get_yticklabels(), shown, strict=True):
        tick.set_color(COLOURS[point.kind])
    axis.set_ylim(-0.7, len(shown) - 0.3)
    axis.set_xlabel(f"{metric}, 95 % interval")
    axis.grid(axis="x", alpha=0.3)
    used = [kind for kind in COLOURS if any(point.kind == kind for point in shown)]
    handles = [axis.plot([], [], "o-", color=COLOURS[kind], label=kind)[0] for kind in used]
    axis.legend(handles=handles, loc="best", fontsize="small", framealpha=0.9)


def _costs(axis: Any, key: str, title: str, unit: float, shown: Sequence[Point]) -> None:
    from matplotlib.ticker import NullFormatter

    known = [(place, point.costs[key] / unit) for place, point in enumerate(shown) if key in point.costs]
    places, values = zip(*known, strict=True)
    axis.barh(places, values, height=0.55, color=COLOURS["trained"], alpha=0.55)
    if key == "trainable_parameters":
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel(title)
    axis.grid(axis="x", alpha=0.3)
