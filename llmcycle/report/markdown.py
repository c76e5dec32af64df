"""report.md, from report.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmcycle.report.record import StageRecord
from llmcycle.report.tables import HEADER, MEMORY_HEADER, answers, memory_rows, metric_rows, reproduce

Report = Mapping[str, Any]


def markdown(report: Report) -> str:
    """The whole report as GitHub-flavoured Markdown."""
    sections = (
        f"# {report['run']['recipe']}\n\n**{_escape(report['verdict'])}**",
        _section("Stages", _stages(report)),
        _section("Memory of training", _memory(report)),
        _section("Answers after each stage", _answers(report)),
        _section("Lineage", _fence(report["run"]["lineage"])),
        _section("Caveats", "\n".join(f"- {_escape(text)}" for text in report["caveats"])),
        _section("Reproduce", _fence("\n".join(reproduce(report)))),
    )
    return "\n\n".join(filter(None, sections)) + "\n"


def _stages(report: Report) -> str:
    return _table(HEADER, (row.cells for row in metric_rows(map(StageRecord.read, report["stages"]))))


def _memory(report: Report) -> str:
    rows = memory_rows(map(StageRecord.read, report["stages"]))
    return _table(MEMORY_HEADER, rows) if rows else ""


def _answers(report: Report) -> str:
    stages, rows = answers(report)
    return _table(("prompt", *stages), rows) if rows else ""


def _section(name: str, body: str) -> str:
    return f"## {name}\n\n{body}" if body else ""


def _fence(text: str) -> str:
    return f"```text\n{text}\n```" if text else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([_escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    """A model's answer may hold anything: keep it from ending the cell or starting HTML, links or emphasis."""
    for character in "\\`*_[]|":
        text = text.replace(character, f"\\{character}")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\r", "").replace("\n", "<br>")
