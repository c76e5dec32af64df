"""Scores by part of the data: one row in the report, one line in the terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report.cycle import FACTS, cycle

from llmcycle.evaluate.metric import Metric
from llmcycle.report import StageRecord, print_stage
from llmcycle.report.caveats import caveats
from llmcycle.report.parts import in_one_line, part_header, part_rows, wholes

METRICS = {
    "exact_match": Metric(0.4, 0.1),
    "kept": Metric(0.27, 0.57),
    "learnt": Metric(0.61),
    "kept/tail": Metric(0.19, 0.4),
    "kept/head": Metric(0.33, 0.8),
    "learnt/rare": Metric(0.5),
    "exact_match/bare/greedy": Metric(0.3),  # a cell of a grid
    "exact_match_known/x": Metric(1.0),  # of no metric that is there
}


@pytest.fixture
def record() -> StageRecord:
    (first, *_) = cycle()
    first.metrics.clear()
    first.metrics.update(METRICS)
    return first


def test_parts_stand_beside_their_whole(record: StageRecord) -> None:
    assert wholes(METRICS) == ["kept", "learnt"]
    assert part_header([record]) == ["stage", "measure", "before", "after", "head", "tail", "rare"]
    assert part_rows([record]) == [
        [record.name, "kept", "0.570", "0.270", "0.800 -> 0.330", "0.400 -> 0.190", ""],
        ["", "learnt", "", "0.610", "", "", "0.500"],
    ]


def test_one_line_says_them_all(record: StageRecord, capsys: pytest.CaptureFixture[str]) -> None:
    assert in_one_line(METRICS) == "kept 0.570 -> 0.270, learnt 0.610"
    assert in_one_line({"exact_match": Metric(0.4)}) == ""
    print_stage(replace(record, skipped=False, error=None))
    assert "kept 0.570 -> 0.270, learnt 0.610" in capsys.readouterr().out


def test_caveats_speak_of_wholes_and_of_answers_that_do_not_end(record: StageRecord) -> None:
    record.metrics["kept"] = Metric(0.27, 0.57, (-0.4, -0.2), "higher")
    record.metrics["kept/head"] = Metric(0.33, 0.8, (-0.6, -0.3), "higher")
    record.metrics["ends_by_itself"] = Metric(0.31, better="higher")
    notes = caveats([record], FACTS)
    assert f"{record.name}: kept got worse, beyond its 95 % interval" in notes
    assert not any("kept/head" in note for note in notes)
    assert any("only 31% of answers drawn at temperature 1 end" in note for note in notes)
