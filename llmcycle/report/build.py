"""report.json: the one source that the table, report.md and the page are rendered from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmcycle.evaluate.metric import headline
from llmcycle.report.caveats import caveats
from llmcycle.report.markdown import markdown
from llmcycle.report.numbers import judge
from llmcycle.report.page import page
from llmcycle.report.record import RunFacts, StageRecord

FORMAT = 1


def write_report(folder: Path, records: Sequence[StageRecord], facts: RunFacts) -> Path:
    """Write report.json, report.md and page.html into the run's folder; gives the path of report.json."""
    path = folder / "report.json"
    path.write_text(json.dumps(build(records, facts), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    render_report(path)
    return path


def render_report(path: Path) -> None:
    """Render report.md and page.html beside a report.json, from nothing but it."""
    report = json.loads(path.read_text(encoding="utf-8"))
    path.with_name("report.md").write_text(markdown(report), encoding="utf-8")
    path.with_name("page.html").write_text(page(report), encoding="utf-8")


def build(records: Sequence[StageRecord], facts: RunFacts) -> dict[str, Any]:
    """The report as plain JSON values; a number that is not finite becomes null."""
    return {
        "format": FORMAT,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": asdict(facts) | {"overrides": list(facts.overrides)},
        "verdict": verdict(records),
        "caveats": caveats(records, facts),
        "stages": [record.plain() for record in records],
    }


def verdict(records: Sequence[StageRecord]) -> str:
    """One line: did it finish, at what cost, and what became of the headline metrics."""
    failed = [record.name for record in records if record.error is not None]
    skipped = sum(record.skipped for record in records)
    state = f"failed at {', '.join(failed)}" if failed else "finished"
    steps = sum(record.optimizer_steps for record in records)
    seconds = sum(record.seconds for record in records)
    stages = f"{len(records)} stage{'s' * (len(records) != 1)} ({skipped} up to date)"
    return f"{state}: {stages}, {steps} optimizer steps, {seconds:.0f} s; {_headlines(records)}"


def _headlines(records: Sequence[StageRecord]) -> str:
    judged = [judge(r.metrics[name]) for r in records if (name := headline(r.metrics)) is not None]
    counts = {word: judged.count(word) for word in ("better", "worse", "unclear") if word in judged}
    return "headline metrics: " + (", ".join(f"{n} {word}" for word, n in counts.items()) or "none has a before")
