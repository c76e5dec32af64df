"""sweep.html: a sweep on one offline page, with the settings of all arms beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template

from llmcycle.report.axis import Axis
from llmcycle.report.page import TEMPLATE, plain_table, section
from llmcycle.report.sweep import Arm, headline_of, varied
from llmcycle.report.sweep_charts import Line, over, parallel

NAME = "sweep.html"
LEGEND = "An arm is a line. Green is the best score over all rows; dashed lines failed or were ended early."


def write_page(sweep: Path, arms: Sequence[Arm], tables: Sequence[tuple[str, list[list[str]]]], verdict: str) -> None:
    """Write the page of a sweep into its folder.

    Args:
        arms: those that have ended.
        tables: title and rows, the header first.
        verdict: the lines on top: how it ended, and the best arm.
    """
    told = [section(title, "", plain_table(rows[0], rows[1:])) for title, rows in tables if rows]
    parts = {
        "title": escape(f"{arms[0].report['run']['recipe']}: {len(arms)} arms"),
        "verdict": "<br>".join(map(escape, verdict.splitlines())) or f"{len(arms)} arms",
        "state": "failed" if any(arm.failed for arm in arms) else "finished",
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "sections": "\n".join([*charts(arms), *told]),
    }
    (sweep / NAME).write_text(Template(TEMPLATE.read_text("utf-8")).substitute(parts), "utf-8")


def charts(arms: Sequence[Arm]) -> list[str]:
    """The sections with charts; none where no arm has a score or nothing varies."""
    lines, name = lines_of(arms)
    keys = list(dict.fromkeys(key for line in lines for key in line.values))
    axes = [Axis(key, [line.values[key] for line in lines if key in line.values]) for key in keys]
    scores = [str(line.score) for line in lines if line.score is not None]
    axes = [axis for axis in axes if len(set(axis.values)) > 1]
    if not scores or not axes:
        return []
    score = Axis(name.rpartition(" ")[2], scores)  # without its stage, so that it fits
    each = "".join(over(axis, score, lines) for axis in axes)
    return [
        section("All settings", "", f'<p class="note">{LEGEND}</p>{parallel(axes, score, lines)}'),
        section(f"{escape(name)} over each setting", "", f'<div class="charts">{each}</div>'),
    ]


def lines_of(arms: Sequence[Arm]) -> tuple[list[Line], str]:
    """The arms as lines, ranked by the headline of the last stage that varies, and the name of that headline."""
    stage = varied(arms)[-1]
    pairs = [headline_of(arm, stage) if arm.error is None else None for arm in arms]
    named = next((pair for pair in pairs if pair), None)
    sign = -1.0 if named and named[1].better == "lower" else 1.0
    lines = [
        Line(arm.label, dict(word.partition("=")[::2] for word in arm.words), pair[1].value if pair else None)
        for arm, pair in zip(arms, pairs, strict=True)
    ]
    values = sorted({sign * line.score for line in lines if line.score is not None})
    ranked = [line if line.score is None else replace(line, rank=place(values, sign * line.score)) for line in lines]
    return ranked, f"{stage} {named[0]}" if named else stage


def place(values: Sequence[float], value: float) -> float:
    """How far up a value stands among others, from 0 to 1."""
    return values.index(value) / (len(values) - 1) if len(values) > 1 else 1.0
