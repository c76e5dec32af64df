"""page.html, from report.json: one file that needs no network, no script and no other file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from llmcycle.report import svg, tables
from llmcycle.report.curves import charts, followed
from llmcycle.report.parts import part_header, part_rows
from llmcycle.report.record import StageRecord
from llmcycle.report.scorecard import scorecard

Report = Mapping[str, Any]

TEMPLATE = Path(__file__).with_name("page.html")
ANSWER = 2000  # characters of an answer on the page, so that it stays under 2 MB; all of it is in report.json


def page(report: Report) -> str:
    """The whole report as HTML, what matters most first; all text from outside is escaped."""
    records = [StageRecord.read(stage) for stage in report["stages"]]
    caveats = "".join(f"<li>{escape(text)}</li>" for text in report["caveats"])
    sections = (
        ("Stages", "metrics", _metrics(tables.headline_rows(records))),
        ("Scorecard", "scorecard", plain_table(*scorecard(records))),
        ("By part", "parts", plain_table(part_header(records), part_rows(records))),
        ("Caveats", "", f"<ul>{caveats}</ul>" if caveats else ""),
        ("Training", "", "".join(map(_curves, records))),
        ("Own rows", "answers", "".join(map(_own_rows, records))),
        ("Answers learnt from", "answers", "".join(map(_drawn, records))),
        ("Answers after each stage", "answers", _answers(report)),
        ("What chose what", "", plain_table(tables.CHOICE_HEADER, tables.choice_rows(records))),
        ("Memory of training", "", plain_table(tables.MEMORY_HEADER, tables.memory_rows(records))),
        ("All metrics", "metrics", "".join(map(_folded, records))),
        ("Lineage", "", _pre(report["run"]["lineage"])),
        ("Reproduce", "", _pre("\n".join(tables.reproduce(report)))),
    )
    parts = {
        "title": escape(report["run"]["recipe"]),
        "verdict": escape(report["verdict"]),
        "state": "failed" if any(record.error is not None for record in records) else "finished",
        "written": escape(report["written"]),
        "sections": "\n".join(section(*each) for each in sections if each[2]),
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(parts)


def section(title: str, kind: str, body: str) -> str:
    """A part of the page under a heading."""
    return f'<section class="{kind}"><h2>{title}</h2>{body}</section>'


def _pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>" if text else ""


def _metrics(rows: Iterable[tables.MetricRow]) -> str:
    return _table((*tables.HEADER[:6], "change", *tables.HEADER[6:]), map(_metric_row, rows))


def _metric_row(row: tables.MetricRow) -> str:
    cells = [f"<td>{escape(cell)}</td>" for cell in row.cells]
    cells[5] = f'<td class="{row.judgement}">{escape(row.cells[5])}</td>'
    cells.insert(6, f"<td>{svg.interval(row.metric) if row.metric else ''}</td>")
    return f'<tr class="{"first" if row.cells[0] else "more"}">{"".join(cells)}</tr>'


def _folded(record: StageRecord) -> str:
    count = len(record.metrics)
    name = escape(record.name)
    return f"<details><summary>{name}: {count} metrics</summary>{_metrics(tables.metric_rows([record]))}</details>"


def _curves(record: StageRecord) -> str:
    drawn = "".join(map(svg.chart, [*followed(record.curves), *charts(record.curves)]))
    return f'<h3>{escape(record.name)}</h3><div class="charts">{drawn}</div>' if drawn else ""


def _own_rows(record: StageRecord) -> str:
    if not record.own_rows:
        return ""
    rows = (_own_row(row) for row in tables.own_rows(record))
    return f"<h3>{escape(record.name)}</h3>{_table(tables.OWN_HEADER, rows)}"


def _drawn(record: StageRecord) -> str:
    body = plain_table(*tables.drawn_rows(record))
    return f"<h3>{escape(record.name)}</h3>{body}" if body else ""


def _own_row(row: Sequence[str]) -> str:
    *texts, judgement = row
    return f'<tr>{"".join(map(_answer, texts))}<td class="{judgement}">{escape(judgement)}</td></tr>'


def _answers(report: Report) -> str:
    stages, rows = tables.answers(report)
    return plain_table(("prompt", *stages), rows)


def plain_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts; "" of no rows."""
    return _table(header, (f"<tr>{''.join(map(_answer, row))}</tr>" for row in rows)) if rows else ""


def _answer(text: str) -> str:
    return f"<td>{escape(text[:ANSWER])}{' …' if len(text) > ANSWER else ''}</td>"


def _table(header: Sequence[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
