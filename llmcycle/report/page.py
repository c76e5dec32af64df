"""page.html, from report.json: one file that needs no network, no script and no other file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from llmcycle.evaluate.metric import Metric
from llmcycle.report.numbers import judge
from llmcycle.report.record import StageRecord
from llmcycle.report.tables import HEADER, MEMORY_HEADER, MetricRow, answers, memory_rows, metric_rows, reproduce

Report = Mapping[str, Any]

TEMPLATE = Path(__file__).with_name("page.html")
ANSWER = 2000  # characters of an answer on the page, so that it stays under 2 MB; all of it is in report.json
PLOT_WIDTH = 160  # pixels


def page(report: Report) -> str:
    """The whole report as HTML; all text from outside is escaped."""
    records = [StageRecord.read(stage) for stage in report["stages"]]
    parts = {
        "title": escape(report["run"]["recipe"]),
        "verdict": escape(report["verdict"]),
        "state": "failed" if any(record.error is not None for record in records) else "finished",
        "written": escape(report["written"]),
        "stages": _stages(records),
        "memory": _memory(records),
        "answers": _answers(report),
        "lineage": escape(report["run"]["lineage"]),
        "caveats": "".join(f"<li>{escape(text)}</li>" for text in report["caveats"]),
        "reproduce": escape("\n".join(reproduce(report))),
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(parts)


def _stages(records: Sequence[StageRecord]) -> str:
    header = (*HEADER[:6], "change", *HEADER[6:])
    return _table(header, map(_stage_row, metric_rows(records)))


def _stage_row(row: MetricRow) -> str:
    cells = [f"<td>{escape(cell)}</td>" for cell in row.cells]
    cells[5] = f'<td class="{row.judgement}">{escape(row.cells[5])}</td>'
    cells.insert(6, f"<td>{_plot(row.metric) if row.metric else ''}</td>")
    return f'<tr class="{"first" if row.cells[0] else "more"}">{"".join(cells)}</tr>'


def _memory(records: Sequence[StageRecord]) -> str:
    rows = memory_rows(records)
    return (
        _table(MEMORY_HEADER, (f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>" for row in rows))
        if rows
        else ""
    )


def _answers(report: Report) -> str:
    stages, rows = answers(report)
    return _table(("prompt", *stages), (f"<tr>{''.join(map(_answer, row))}</tr>" for row in rows)) if rows else ""


def _answer(text: str) -> str:
    return f"<td>{escape(text[:ANSWER])}{' …' if len(text) > ANSWER else ''}</td>"


def _table(header: Sequence[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _plot(metric: Metric) -> str:
    """The difference and its interval on a line with zero in the middle, as inline SVG."""
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
