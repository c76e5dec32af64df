"""Charts of a sweep as inline SVG: each arm as a line over all settings, and the score over each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from llmcycle.report.axis import Axis
from llmcycle.report.numbers import number

APART, HIGH, TOP, SIDE = 150, 220, 24, 70  # of parallel axes: distance, height, room above and at both sides
WIDTH, HEIGHT, LEFT, BOTTOM = 320, 180, 52, 34  # of a chart of one setting
TICK = 18  # characters of a label
ANCHORS = {0.0: "start", 1.0: "end"}  # of labels at the ends of an axis


@dataclass(frozen=True)
class Line:
    """One arm.

    Args:
        label: what sets it apart.
        values: of its settings, by key.
        score: what it reached; None where it failed or was ended early.
        rank: from 0, the worst, to 1, the best.
    """

    label: str
    values: dict[str, str]
    score: float | None
    rank: float = 0.0

    @property
    def kind(self) -> str:
        """The class of its style."""
        return "ended" if self.score is None else "best" if self.rank == 1.0 else "arm"

    @property
    def title(self) -> str:
        """What a reader sees who points at it."""
        return escape(f"{self.label}: {'no score' if self.score is None else number(self.score)}")


def parallel(axes: Sequence[Axis], score: Axis, lines: Sequence[Line]) -> str:
    """Parallel coordinates: an axis for each setting, the score at the right; a line that ends before it has none."""
    every = [*axes, score]
    width = 2 * SIDE + APART * (len(every) - 1)
    drawn = "".join(_axis(axis, SIDE + APART * place) for place, axis in enumerate(every))
    in_order = sorted(lines, key=lambda line: (line.score is not None, line.rank))  # the best on top
    paths = "".join(_line(line, axes, score) for line in in_order)
    size = f'width="{width}" height="{HIGH + 2 * TOP}"'
    words = 'role="img" aria-label="settings and score of each arm"'
    return f'<div class="scroll"><svg class="parallel" {size} {words}>{paths}{drawn}</svg></div>'


def _axis(axis: Axis, x: int) -> str:
    ticks = "".join(
        f'<text x="{x + 6}" y="{_down(place) + 4}">{escape(label[:TICK])}</text>' for place, label in axis.ticks
    )
    name = axis.name if len(axis.name) <= TICK else f"…{axis.name[1 - TICK :]}"
    return (
        f'<line class="axis" x1="{x}" x2="{x}" y1="{TOP}" y2="{TOP + HIGH}"/>{ticks}'
        f'<text class="name" x="{x}" y="{TOP - 10}" text-anchor="middle">{escape(name)}</text>'
    )


def _down(place: float) -> float:
    return round(TOP + HIGH * (1 - place), 1)


def _line(line: Line, axes: Sequence[Axis], score: Axis) -> str:
    places = [axis.place(line.values[axis.name]) for axis in axes if axis.name in line.values]
    places += [] if line.score is None else [score.place(str(line.score))]
    points = " ".join(f"{SIDE + APART * i},{_down(place)}" for i, place in enumerate(places))
    style = f'class="{line.kind}" stroke-opacity="{round(0.15 + 0.85 * line.rank, 2)}"'
    return f'<polyline {style} points="{points}"><title>{line.title}</title></polyline>'


def over(axis: Axis, score: Axis, lines: Sequence[Line]) -> str:
    """The score of each arm over one setting."""
    right, low = WIDTH - 14, HEIGHT - BOTTOM
    dots = "".join(
        f'<circle class="{line.kind}" cx="{_across(axis.place(line.values[axis.name]))}" '
        f'cy="{_up(score.place(str(line.score)))}" r="4"><title>{line.title}</title></circle>'
        for line in sorted(lines, key=lambda line: line.rank)
        if line.score is not None and axis.name in line.values
    )
    below = "".join(
        _label(_across(place), low + 14, label, ANCHORS.get(place, "middle")) for place, label in axis.ticks
    )
    beside = "".join(_label(LEFT - 8, _up(place) + 4, label, "end") for place, label in score.ticks)
    scale = " (logarithmic)" if axis.logarithmic else ""
    words = f'role="img" aria-label="{escape(score.name)} over {escape(axis.name)}"'
    return (
        f"<figure><figcaption>{escape(axis.name)}{scale}</figcaption>"
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" {words}>'
        f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{low}" y2="{low}"/>{below}{beside}{dots}</svg></figure>'
    )


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text[:TICK])}</text>'


def _across(place: float) -> float:
    return round(LEFT + 6 + (WIDTH - LEFT - 26) * place, 1)


def _up(place: float) -> float:
    return round(HEIGHT - BOTTOM - 8 - (HEIGHT - BOTTOM - 20) * place, 1)
