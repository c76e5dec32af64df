"""The comparison as text: the terminal's table and compare.md."""

from __future__ import annotations

from collections.abc import Sequence

from llmcycle.comparison.points import Point, against, direction
from llmcycle.comparison.ranking import repeated
from llmcycle.report import numbers

HEADER = (
    "method",
    "score [95 %]",
    "n",
    "against {} [95 %]",
    "trained parameters",
    "trained bytes",
    "peak memory",
    "s",
    "tried",
)
FULL = ("full", "none")  # what full fine-tuning is called


def rank(points: Sequence[Point]) -> list[Point]:
    """The best first; failed ones last."""
    sign = -1 if direction(points) == "higher" else 1
    good = [point for point in points if point.value is not None]
    return sorted(good, key=lambda p: sign * (p.value or 0.0)) + [point for point in points if point.value is None]


def reference(points: Sequence[Point], wanted: str | None) -> Point | None:
    """The point that others are compared with: the one named, full fine-tuning, the best trained one, or the best.

    Raises:
        ValueError: no point has the name that is wanted.
    """
    named = {point.label: point for point in points if point.value is not None}
    if wanted is not None and wanted not in named:
        raise ValueError(f"--against {wanted}: there is no such method; there is {', '.join(named)}")
    candidates = [wanted] if wanted is not None else [name for name in FULL if name in named]
    trained = [point for point in rank(points) if point.kind == "trained" and point.value is not None]
    measured = [point for point in rank(points) if point.scores is not None]
    return named[candidates[0]] if candidates else next(iter([*trained, *measured]), None)


def rows(metric: str, points: Sequence[Point], base: Point | None) -> list[list[str]]:
    """Header and a line a point, ranked."""
    head = [column.format(base.label if base else "nothing") for column in HEADER]
    head[1] = f"{metric} [95 %]"
    return [head, *(_row(point, base) for point in rank(points))]


def caveats(points: Sequence[Point]) -> list[str]:
    """What the numbers do not say by themselves."""
    trained = [point for point in points if point.kind == "trained" and point.value is not None]
    tried = {point.settings for point in trained}
    notes = []
    if len(tried) > 1:
        notes.append(
            f"the methods were given between {min(tried)} and {max(tried)} settings: not the same search budget"
        )
    if max(tried, default=1) > 1:
        notes.append("every other row chose the best setting of each method; the scores stand on the other rows")
    if any(point.seeds == 1 for point in trained):
        notes.append("one seed: an interval is over rows, not over runs")
    if (repeats := repeated(points)) is not None:
        notes.append(f"the ranking of one seed against that of another: Kendall's tau {repeats:.2f} (1: the same)")
    return notes + [f"{point.label} failed: {point.error}" for point in points if point.value is None]


def markdown(metric: str, points: Sequence[Point], base: Point | None) -> str:
    """compare.md."""
    head, *lines = rows(metric, points, base)
    text = [f"# {metric} by method", "", "![comparison](compare.png)", "", _line(head), _line(["---"] * len(head))]
    return "\n".join([*text, *map(_line, lines), "", *(f"- {caveat}" for caveat in caveats(points)), ""])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _row(point: Point, base: Point | None) -> list[str]:
    name = f"{point.label} ({point.chosen})" if point.chosen else point.label
    if point.value is None:
        return [name, "failed", *[""] * 6, str(point.settings)]
    change = against(point, base) if base else None
    score = f"{numbers.number(point.value)} {_range(point.interval)}".rstrip()
    tried = "" if point.kind != "trained" else str(point.settings * point.seeds)
    rows = str(len(point.scores.values)) if point.scores else ""
    return [name, score, rows, numbers.difference(change) if change else "", *_costs(point), tried]


def _costs(point: Point) -> list[str]:
    parameters, trained, peak, seconds = (
        point.costs.get(key)
        for key in ("trainable_parameters", "gradient_and_optimizer_state_bytes", "peak_memory", "seconds")
    )
    if point.kind != "trained":
        return ["0", "", "", ""]
    return [
        "" if parameters is None else f"{parameters:,.0f}",
        "" if trained is None else numbers.number(trained, "bytes"),
        "" if peak is None else numbers.number(peak, "bytes"),
        "" if seconds is None else numbers.seconds(seconds),
    ]


def _range(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"[{numbers.number(interval[0])}, {numbers.number(interval[1])}]"
