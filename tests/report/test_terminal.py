"""The terminal's plan and table, on terminals of every width and piped."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from report.cycle import cycle, failed
from rich.cells import cell_len
from rich.console import Console

import llmcycle
from llmcycle.evaluate.metric import Metric
from llmcycle.report import StageRecord, print_plan, print_stage, print_table
from llmcycle.report.numbers import duration
from llmcycle.report.tables import HEADER

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def piped(records: list[StageRecord], capsys: pytest.CaptureFixture[str], **options: object) -> list[str]:
    print_table(records, **options)  # type: ignore[arg-type]
    return capsys.readouterr().out.splitlines()


def on_terminal(records: list[StageRecord], width: int) -> tuple[list[str], str]:
    file = io.StringIO()
    print_table(records, console=Console(file=file, force_terminal=True, width=width, color_system="standard"))
    return ANSI.sub("", file.getvalue()).splitlines(), file.getvalue()


def test_plan(capsys: pytest.CaptureFixture[str]) -> None:
    stages = [("pretrain", "llama", True, "248637ec4ee9"), ("align", "dpo", False, "db483113413b")]
    print_plan(stages, "outputs/lifecycle/x", estimate="about 5 minutes")
    assert capsys.readouterr().out.splitlines() == [
        "plan: 2 stages, 1 up to date, logged in outputs/lifecycle/x",
        "  pretrain  llama  up to date  248637ec4ee9",
        "  align     dpo    to run      db483113413b",
        "estimate: about 5 minutes",
    ]
    print_plan(stages, "outputs/lifecycle/x")
    assert "estimate" not in capsys.readouterr().out


def test_durations() -> None:
    assert [duration(seconds) for seconds in (3.4, 89, 91, 3000, 9000)] == ["3 s", "89 s", "2 min", "50 min", "2.5 h"]


def test_piped_table_is_plain_and_complete(capsys: pytest.CaptureFixture[str]) -> None:
    lines = piped(cycle(), capsys)
    text = "\n".join(lines)
    assert "\x1b" not in text
    for record in cycle():
        assert record.artifact_id in text
        assert all(name in text for name in record.metrics)
    assert re.split(" {2,}", lines[0]) == [name for name in HEADER if name != "n"]
    align = next(line for line in lines if line.startswith("align"))
    assert align.split("  ")[0] == "align"
    assert re.split(" {2,}", align) == [
        "align",
        "dpo",
        "dishonest_or_harmful ↓",
        "0.410",
        "0.030",
        "-0.380 [-0.440, -0.330]",
        "70",
        "db483113413b",
    ]
    columns = {line.index(record.artifact_id) for line in lines for record in cycle() if record.artifact_id in line}
    assert len(columns) == 1, "ids are aligned"
    assert "up to date" in lines[1]


def test_next_command_abbreviates_the_last_id_that_can_talk(capsys: pytest.CaptureFixture[str]) -> None:
    assert piped(cycle(), capsys)[-1] == "next: llmcycle chat 2486a"
    assert piped(cycle(), capsys, known=["2486aaab0000"])[-1] == "next: llmcycle chat 2486aaaa"
    silent = [replace(record, samples=[]) for record in cycle()]
    assert piped(silent, capsys)[-1] == "next: llmcycle ls"
    assert piped(cycle()[:-1], capsys)[-1] == "next: llmcycle chat db48"
    *others, last = cycle()
    assert piped([*others, replace(last, holds_model=False)], capsys)[-1] == "next: llmcycle chat db48"


def test_a_failed_stage_is_shown_and_its_reason_is_not_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    lines = piped(failed(), capsys, again="llmcycle lifecycle")
    assert any(re.match(r"align +dpo +failed", line) for line in lines)
    assert not any("inputs.model is missing" in line for line in lines)
    assert lines[-1] == "next: llmcycle lifecycle  (finished stages are kept)"


def test_what_was_refused_is_not_advised_again(capsys: pytest.CaptureFixture[str]) -> None:
    *others, last = failed()
    lines = piped([*others, replace(last, refused=True)], capsys, again="llmcycle lifecycle")
    assert not any("llmcycle lifecycle" in line for line in lines)


@pytest.mark.parametrize("width", [160, 120, 100, 90, 80])
def test_a_terminals_table_fits(width: int) -> None:
    lines, raw = on_terminal(cycle(), width)
    assert max(map(cell_len, lines)) <= width
    assert "…" not in "".join(lines)
    assert "\x1b[32m" in raw, "an improvement is green"
    assert ("before" in lines[0]) == (width > 80)
    text = "\n".join(lines)
    for record in cycle():
        assert (record.artifact_id if width >= 100 else record.artifact_id[:4]) in text
        assert all(name in text for name in record.metrics)


def test_a_table_that_is_too_wide_is_plain_rather_than_cut(capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = on_terminal(cycle(), 40)
    assert lines == piped(cycle(), capsys)


@pytest.mark.parametrize("stages", [1, 7, 15, 40])
@pytest.mark.parametrize("error", [None, "one\ntwo\nthree\nfour"])
def test_at_most_24_lines(stages: int, error: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {f"m{i}": Metric(0.5, better="higher") for i in range(12)}
    records = [StageRecord(f"s{i}", "x", f"{i:012x}", metrics=metrics) for i in range(stages)]
    records[-1] = replace(records[-1], error=error)
    lines = piped(records, capsys)
    assert len(lines) <= 24
    assert len(on_terminal(records, 120)[0]) <= 24
    assert sum("m0 ↑" in line for line in lines) == min(stages - bool(error), 18 - 3 * bool(error)) or error
    assert any(line.endswith("more metrics in report.md") for line in lines) == (stages > 1)


def test_headlines_come_first_then_what_has_a_direction(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {
        "headline": Metric(1.0),
        **{f"count{i}": Metric(i) for i in range(30)},
        "last": Metric(1.0, better="higher"),
    }
    text = "\n".join(piped([StageRecord("s", metrics=metrics)], capsys))
    assert "headline" in text
    assert "last ↑" in text
    assert "count29" not in text


def test_a_run_of_one_stage_shows_what_matters_in_a_short_table(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {
        "headline": Metric(1.0),
        "faults": Metric(0, better="lower"),
        **{f"rate{i}": Metric(1.0, better="higher") for i in range(11)},
        "changed": Metric(1.0, 2.0, better="lower"),
        "failures": Metric(2, better="lower"),
        "count": Metric(7),
    }
    lines = piped([StageRecord("s", metrics=metrics)], capsys)
    shown = [re.split(" {2,}", line.strip())[0] for line in lines[2:-2]]
    assert shown == [*(f"rate{i} ↑" for i in range(11)), "changed ↓", "failures ↓"]
    assert lines[-2] == "2 more metrics in report.md"


def test_reports_need_no_torch() -> None:
    code = "import sys, llmcycle.report; sys.exit('torch' in sys.modules)"
    root = str(Path(llmcycle.__file__).parents[1])
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": root}, check=False).returncode == 0


LEARNT = StageRecord(
    "finetune",
    curves={"points": [{"step": s, "loss": 9 - s / 10} for s in range(10, 81, 10)], "judged": [], "resumed": []},
    own_rows=[
        {"prompt": f"q{i} \x1b[2J", "expected": "right", "got": "x" * 200 if i < 4 else "right", "score": float(i > 3)}
        for i in range(6)
    ],
)


def test_a_stage_ends_with_its_curve_and_three_of_its_own_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_stage(LEARNT)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "finetune: loss 8.000 at step 10, 1.000 at step 80"
    assert [line.split()[0] for line in lines[2:]] == ["wrong", "wrong", "right"]
    assert "\x1b" not in "".join(lines)
    print_stage(replace(LEARNT, skipped=True))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("width", [40, 80, 200])
def test_on_a_terminal_the_curve_is_drawn_and_nothing_is_wider(width: int) -> None:
    file = io.StringIO()
    print_stage(LEARNT, console=Console(file=file, force_terminal=True, width=width))
    lines = ANSI.sub("", file.getvalue()).splitlines()
    assert sum("█" in line for line in lines) >= 3
    assert max(map(cell_len, lines[1:])) <= width


def test_the_next_command_names_another_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert piped(cycle(), capsys, store=" outputs=elsewhere")[-1].endswith("outputs=elsewhere")
