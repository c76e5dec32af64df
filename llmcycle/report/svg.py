"""Charts of a page as inline SVG: no script, no other file, colours from the page's own style."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from llmcycle.evaluate.metric import Metric
from llmcycle.report.curves import Series
from llmcycle.report.numbers import judge, number

PLOT_WIDTH = 160  # pixels
WIDTH, HEIGHT = 320, 132  # of a chart, in units that its width on the page scales
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 8, 18  # room around the lines, for the figures


def interval(metric: Metric) -> str:
    """The difference and its interval on a line with zero in the middle."""
    if metric.before is None or metric.interval is None:
        return ""
    low, high = metric.interval
    points = (low, metric.value - metric.before, high, 0.0)
    reach = max(map(abs, points)) or 1.0
    left, dot, right, zero = (round(PLOT_WIDTH / 2 + point / reach * (PLOT_WIDTH / 2 - 6), 1) for point in points)
    return (
        f'<svg class="{judge(metric)}" width="{PLOT_WIDTH}" height="16" role="img" aria-label="difference, interval">'
        f'<line class="zero" x1="{zero}" x2="{zero}" y1="1" y2="15"/>'
        f'<line class="range" x1="{left}" x2="{right}" y1="8" y2="8"/><circle cx="{dot}" cy="8" r="4"/></svg>'
    )


def chart(lines: Sequence[Series]) -> str:
    """One value over the steps, in training and on validation rows, with a mark where a run went on; or over the KL."""
    steps = [step for line in lines for step, _ in line.points]
    values = [value for line in lines for value in line.values]
    across, up = (
        _Scale(min(steps), max(steps), LEFT, WIDTH - RIGHT),
        _Scale(min(values), max(values), HEIGHT - BOTTOM, TOP),
    )
    drawn = "".join(
        f'<polyline class="line{place}" points="'
        + " ".join(f"{across(step)},{up(value)}" for step, value in line.points)
        + '"/>'
        for place, line in enumerate(lines)
    )
    marks = _peak(lines[0], across) + "".join(
        f'<line class="resumed" x1="{across(step)}" x2="{across(step)}" y1="{TOP}" y2="{HEIGHT - BOTTOM}">'
        f"<title>the run went on from step {step:.0f}</title></line>"
        for step in lines[0].resumed
        if across.low <= step <= across.high
    )
    name, over = escape(lines[0].name), lines[0].over
    caption = name if over == "step" else f"{name} over {over}"
    return (
        f'<figure><figcaption>{caption}{_key(lines)}</figcaption><svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{name} over {lines[0].over}">'
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>'
        f"{marks}{drawn}{_label(LEFT - 6, TOP + 5, number(up.high), 'end')}"
        f"{_label(LEFT - 6, HEIGHT - BOTTOM, number(up.low), 'end')}"
        f"{_label(LEFT, HEIGHT - 4, f'{lines[0].over} {_place(across.low)}', 'start')}"
        f"{_label(WIDTH - RIGHT, HEIGHT - 4, _place(across.high), 'end')}</svg></figure>"
    )


def _peak(line: Series, across: _Scale) -> str:
    if line.peak is None:
        return ""
    place, words = across(line.peak), f"the weights of {line.over} {number(line.peak)} are handed on"
    ends = f'x1="{place}" x2="{place}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"'
    return f'<line class="peak" {ends}><title>{escape(words)}</title></line>'


def _place(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else number(value)


class _Scale:
    """From a value to its place, both ends included."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high, self.start, self.end = low, high, start, end

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.end - self.start), 1)


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _key(lines: Sequence[Series]) -> str:
    if len(lines) == 1:
        return ""
    words = ("training", "validation") if lines[0].over == "step" else [line.name for line in lines]
    return "".join(f' <span class="line{place}">{words[place]}</span>' for place in range(len(lines)))
