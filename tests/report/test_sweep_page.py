"""The page of a sweep: axes, lines and dots against what the arms reached; nothing from outside is taken as HTML."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from llmcycle.report.axis import Axis
from llmcycle.report.effects import in_thirds
from llmcycle.report.sweep_page import NAME
from llmcycle.report.sweep_summary import print_sweep


def arm(folder: Path, number: int, words: list[str], score: float | None, **stage: object) -> None:
    place = folder / str(number)
    place.mkdir(parents=True)
    metrics = {} if score is None else {"match": {"value": score, "better": "higher", "headline": True}}
    error = "it <failed>" if score is None else None
    record = {"name": "tune", "artifact_id": str(number), "metrics": metrics, "error": error, "seconds": 1.0, **stage}
    run = {"recipe": "tune", "command": "llmcycle tune", "overrides": words}
    (place / "report.json").write_text(json.dumps({"run": run, "stages": [record]}))


@pytest.fixture
def page(tmp_path: Path) -> str:
    arm(tmp_path, 0, ["lr=0.001", "peft=lora"], 0.5)
    arm(tmp_path, 1, ["lr=0.1", "peft=lora"], 0.9)
    arm(tmp_path, 2, ["lr=0.01", "peft=<b>"], 0.7)
    arm(tmp_path, 3, ["lr=0.01", "peft=lora"], None)
    print_sweep(tmp_path)
    return (tmp_path / NAME).read_text("utf-8")


def test_each_arm_is_a_line_and_the_best_stands_out(page: str) -> None:
    lines = re.findall(r'<polyline class="(\w+)" .*? points="([^"]*)"><title>([^<]*)</title>', page)
    assert [kind for kind, *_ in lines] == ["ended", "arm", "arm", "best"], "the best is drawn last"
    assert lines[-1][2] == "lr=0.1 peft=lora: 0.900"
    assert [len(points.split()) for _, points, _ in lines] == [2, 3, 3, 3], "one without a score ends before it"
    heights = [float(point.split(",")[1]) for point in lines[-1][1].split()]
    assert heights[0] == heights[2] == 24, "the highest rate and the highest score are at the top"


def test_a_chart_a_setting_has_a_dot_for_each_score(page: str) -> None:
    charts = re.findall(r"<figcaption>(.*?)</figcaption>.*?</figure>", page)
    assert charts == ["lr (logarithmic)", "peft"]
    assert page.count("<circle") == 2 * 3


def test_what_arms_say_is_no_html(page: str) -> None:
    assert "<b>" not in page
    assert "it <failed>" not in page
    assert "it &lt;failed&gt;" in page
    assert "<script" not in page
    assert "http" not in page


@pytest.mark.parametrize(
    ("values", "value", "place"),
    [
        (["1", "2", "5"], "2", 0.25),
        (["0.001", "0.1", "0.01"], "0.01", 0.5),
        (["a", "b", "c"], "b", 0.5),
        (["a", "1"], "1", 1.0),
        (["7"], "7", 0.5),
        (["nan", "inf", "1"], "inf", 0.5),
    ],
)
def test_values_have_their_place(values: list[str], value: str, place: float) -> None:
    assert Axis("key", values).place(value) == pytest.approx(place)


def test_thirds_keep_equal_values_together() -> None:
    scores = {f"r={value}": [float(value)] * (4 if value == 1 else 1) for value in range(1, 9)}
    assert in_thirds("r", scores) == {
        "r=1 to 1": [1.0] * 4,
        "r=2 to 5": [2.0, 3.0, 4.0, 5.0],
        "r=6 to 8": [6.0, 7.0, 8.0],
    }
    assert in_thirds("peft", {f"peft={name}": [0.0] for name in "abcdefg"}).keys() == {f"peft={n}" for n in "abcdefg"}
