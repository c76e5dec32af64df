"""What a trained stage's memory went to, in the terminal and in the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from report.cycle import FACTS, cycle

from llmcycle.report import print_table, write_report
from llmcycle.report.terminal import LINES

PARTS = {"weights": 3_500_000, "gradients": 250_000, "optimizer_state": 500_000, "activations": 9_000_000}
ROWS = [
    {"method": "full", "measured": False, **PARTS, "peak": 13_000_000},
    {"method": "lora", "measured": True, **PARTS, "peak": 12_500_000},
]
TRAINED = replace(cycle()[1], memory=ROWS)


def test_one_trained_stage_shows_it_in_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([TRAINED])
    lines = capsys.readouterr().out.splitlines()
    (head,) = [number for number, line in enumerate(lines) if line.startswith("memory of")]
    assert lines[head + 1].split() == [
        *("full", "by", "formula", "3.50", "MB", "250.00", "kB", "500.00", "kB", "9.00", "MB", "13.00", "MB")
    ]
    assert lines[head + 2].startswith("lora       measured")
    assert lines[-1].startswith("next: ")
    assert len(lines) <= LINES


def test_of_several_it_is_in_the_report_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [TRAINED, replace(TRAINED, name="align")]
    print_table(records)
    assert "memory of" not in capsys.readouterr().out
    write_report(tmp_path, records, FACTS)
    text = (tmp_path / "report.md").read_text()
    assert "| finetune | full | by formula | 3.50 MB | 250.00 kB | 500.00 kB | 9.00 MB | 13.00 MB |" in text
    assert "| align | full |" in text
    assert "<td>12.50 MB</td>" in (tmp_path / "page.html").read_text()
