"""report.md, from report.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmcycle.report import tables
from llmcycle.report.curves import charts, followed_in_words, in_blocks, in_words
from llmcycle.report.parts import part_header, part_rows
from llmcycle.report.record import StageRecord
from llmcycle.report.scorecard import scorecard

Report = Mapping[str, Any]

CURVE_WIDTH = 72  # columns


def markdown(report: Report) -> str:
    """The whole report as GitHub-flavoured Markdown."""
    records = [StageRecord.read(stage) for stage in report["stages"]]
    sections = (
        f"# {report['run']['recipe']}\n\n**{_escape(report['verdict'])}**",
        _section("Stages", _table(tables.HEADER, (row.cells for row in tables.headline_rows(records)))),
        _section("Scorecard", _table(*scorecard(records))),
        _section("By part", _table(part_header(records), part_rows(records))),
        _section("Caveats", "\n".join(f"- {_escape(text)}" for text in report["caveats"])),
        _section("Training", _fence("\n\n".join(filter(None, map(_curve, records))))),
        _section("Own rows", _own_rows(records)),
        *(_section(f"Answers {r.name} learnt from", _table(*tables.drawn_rows(r))) for r in records if r.drawn),
        _section("Answers after each stage", _answers(report)),
        _section("What chose what", _table(tables.CHOICE_HEADER, tables.choice_rows(records))),
        _section("Memory of training", _table(tables.MEMORY_HEADER, tables.memory_rows(records))),
        _section("All metrics", _table(tables.HEADER, (row.cells for row in tables.metric_rows(records)))),
        _section("Lineage", _fence(report["run"]["lineage"])),
        _section("Reproduce", _fence("\n".join(tables.reproduce(report)))),
    )
    return "\n\n".join(filter(None, sections)) + "\n"


def _curve(record: StageRecord) -> str:
    """The first chart of a stage as text: its loss."""
    drawn = charts(record.curves)
    if not drawn:
        return ""
    first = drawn[0][0]
    lines = (f"{record.name}: {in_words(first)}", *in_blocks(first.values, CURVE_WIDTH))
    return "\n".join(filter(None, (*lines, followed_in_words(record.curves))))


def _own_rows(records: Sequence[StageRecord]) -> str:
    rows = [[record.name, *row] for record in records for row in tables.own_rows(record)]
    return _table(("stage", *tables.OWN_HEADER), rows)


def _answers(report: Report) -> str:
    stages, rows = tables.answers(report)
    return _table(("prompt", *stages), rows)


def _section(name: str, body: str) -> str:
    return f"## {name}\n\n{body}" if body else ""


def _fence(text: str) -> str:
    return f"```text\n{text}\n```" if text else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [[_escape(cell) for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *body] if body else []
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    """A model's answer may hold anything: keep it from ending the cell or starting HTML, links or emphasis."""
    for character in "\\`*_[]|":
        text = text.replace(character, f"\\{character}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\r", "").replace("\n", "<br>")
