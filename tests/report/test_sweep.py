"""A sweep's table: arms apart by what they vary, seeds gathered to a mean, failures shown and never counted."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest
from scipy import stats

from llmcycle.report import numbers
from llmcycle.report.effects import effects
from llmcycle.report.sweep import best, cell, read_arms, table
from llmcycle.report.sweep_summary import print_sweep


def write(folder: Path, number: int, overrides: list[str], value: float, error: str | None = None) -> None:
    stages = [
        {"name": "base", "artifact_id": "b", "error": None, "metrics": {"loss": {"value": 1.0}}},
        {
            **{"name": "tune", "artifact_id": str(number), "error": error},
            "metrics": {"match": {"value": value, "better": "higher"}},
        },
    ]
    run = {"overrides": overrides, "recipe": "tune", "command": f"llmcycle tune.yaml {' '.join(overrides)} -m"}
    (folder / str(number)).mkdir(parents=True)
    (folder / str(number) / "report.json").write_text(json.dumps({"run": run, "stages": stages}))


def test_replicates_are_gathered_and_shared_stages_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, (peft, seed, value) in enumerate(
        [("lora", 0, 0.8), ("lora", 1, 0.9), ("ia3", 0, 0.5), ("ia3", 1, 0.5)]
    ):
        write(tmp_path, number, [f"peft={peft}", f"seed={seed}", "steps=3"], value)
    rows = table(read_arms(tmp_path))
    assert rows[0] == ["arm", "runs", "tune match", ""]
    assert [row[:2] for row in rows[1:]] == [["peft=lora", "2"], ["peft=ia3", "2"]]
    assert rows[1][2].startswith("0.850 ± 0.635")  # t(0.975, 1) x 0.0707 / sqrt(2)
    print_sweep(tmp_path)
    assert "peft=ia3" in capsys.readouterr().out
    assert (tmp_path / "sweep.txt").exists()


def test_a_failed_arm_gives_its_reason_and_no_number(tmp_path: Path) -> None:
    write(tmp_path, 0, ["peft=lora"], 0.8)
    write(tmp_path, 1, ["peft=ia3"], 0.99, error="no memory\ndetails")
    assert table(read_arms(tmp_path))[2] == ["peft=ia3", "1", "-", "failed: no memory"]


def test_the_best_arm_is_a_command_and_a_failed_one_is_never_it(tmp_path: Path) -> None:
    for number, (peft, seed, value, error) in enumerate(
        [("lora", 0, 0.8, None), ("lora", 1, 0.6, None), ("ia3", 0, 0.5, None), ("dora", 0, 0.9, "x")]
    ):
        write(tmp_path, number, [f"peft={peft}", f"seed={seed}", "steps=3"], value, error)
    assert best(read_arms(tmp_path)) == "best: llmcycle tune.yaml peft=lora steps=3  (0.700)"
    assert effects(read_arms(tmp_path)) == [], "there is one factor"


def test_of_equals_none_is_the_best(tmp_path: Path) -> None:
    for number, value in enumerate((0.5, 0.5, 0.4)):
        write(tmp_path, number, [f"lr={number}"], value)
    assert best(read_arms(tmp_path)) == ""


def test_the_effect_of_each_value_is_its_mean_over_all_others(tmp_path: Path) -> None:
    values = {("lora", "1"): 0.5, ("lora", "2"): 0.7, ("ia3", "1"): 0.1, ("ia3", "2"): 0.3}
    for number, ((peft, rate), value) in enumerate(values.items()):
        write(tmp_path, number, [f"peft={peft}", f"lr={rate}"], value)
    _, *rows = effects(read_arms(tmp_path))
    assert [row[:2] for row in rows] == [["peft=lora", "2"], ["peft=ia3", "2"], ["lr=1", "2"], ["lr=2", "2"]]
    assert [row[2].partition(" ")[0] for row in rows] == ["0.600", "0.200", "0.300", "0.500"]


def test_a_cell_of_one_value_has_no_interval() -> None:
    assert cell([0.5]) == "0.500"
    assert cell([]) == "-"


@pytest.mark.parametrize("count", [3, 11, 40])
def test_the_interval_of_replicates_is_students(count: int) -> None:
    """At 10 degrees of freedom 2.228, where the normal's would be 1.96."""
    values = [0.5 + 0.01 * (i % 7) for i in range(count)]
    expected = stats.t.ppf(0.975, count - 1) * stats.sem(values)
    assert cell(values) == f"{fmean(values):.3f} ± {numbers.number(expected)}"


def test_the_headline_is_the_marked_metric_wherever_it_stands(tmp_path: Path) -> None:
    marked = {"loss": {"value": 1.0}, "match": {"value": 0.5, "headline": True}, "other": {"value": None}}
    stage = {"name": "tune", "artifact_id": "x", "error": None, "metrics": marked}
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "report.json").write_text(json.dumps({"run": {"overrides": []}, "stages": [stage]}))
    assert table(read_arms(tmp_path))[0][2] == "tune match"
