"""`llmcycle compare` over written runs: who is there, in which order, with which intervals and costs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from random import Random

import pytest

from llmcycle import verbs
from llmcycle.artifact import Store
from llmcycle.comparison import collect
from llmcycle.comparison.points import mean_of
from llmcycle.comparison.ranking import repeated
from llmcycle.comparison.table import caveats, rank
from llmcycle.evaluate import Metric, Scores, pair, write_scores
from llmcycle.guard import guard

ROWS = [f"{i:016x}" for i in range(40)]


def scores(share: float, seed: int = 0) -> Scores:
    draw = Random(seed)
    return Scores([float(draw.random() < share) for _ in ROWS], rows=list(ROWS))


def run(folder: Path, method: str, found: Scores | None, *overrides: str, error: str | None = None) -> None:
    """What a run of one stage, `tune`, leaves."""
    metrics = {} if found is None else {
        "exact_match": asdict(Metric(found.mean, 0.05, None, "higher", n=len(ROWS))),
        "trainable_parameters": asdict(Metric(1000 * len(method))),
        "peak_memory": asdict(Metric(5e8, unit="bytes")),
        "gradient_and_optimizer_state_bytes": asdict(Metric(3e6, unit="bytes")),
        "seconds": asdict(Metric(12.0, unit="s")),
    }  # fmt: skip
    stage = {"name": "tune", "method": method, "folder": "gone/elsewhere", "error": error, "metrics": metrics}
    (folder / "tune").mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"run": {"overrides": list(overrides)}, "stages": [stage]}))
    if found is not None:
        write_scores(folder / "tune", {"exact_match": found})


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "sweep"
    run(folder / "0", "full", scores(0.9), "peft=none")
    run(folder / "1", "lora", scores(0.8), "peft=lora")
    run(folder / "2", "ia3", scores(0.4), "peft=ia3")
    run(folder / "3", "broken", None, "peft=broken", error="no such layer\nand more")
    return folder


def test_methods_are_ranked_and_compared_row_by_row(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verbs.run("compare", [str(sweep)]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert "exact_match [95 %]" in head
    assert "against full [95 %]" in head
    assert [line.split()[0] for line in lines[:5]] == ["full", "lora", "ia3", "before", "broken"]
    assert lines[4].split()[1] == "failed"
    assert "note: broken failed: no such layer" in lines
    full, lora = scores(0.9), scores(0.8)
    found = pair(full, lora)
    assert found is not None
    assert found.interval is not None
    assert f"{found.value - full.mean:.3f} [{found.interval[0]:.3f}, {found.interval[1]:.3f}]" in lines[1]
    assert (sweep / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert (sweep / "compare.md").read_text().count("\n| ") == 7
    entries = json.loads((sweep / "compare.json").read_text())
    assert (entries["reference"], entries["methods"][1]["costs"]["trainable_parameters"]) == ("full", 4000)


def test_prompts_are_on_the_same_axis(sweep: Path, tmp_path: Path) -> None:
    stage = {"name": "prompt", "method": "bare", "folder": "x", "error": None, "metrics": {}}
    prompts = tmp_path / "prompts"
    (prompts / "prompt").mkdir(parents=True)
    (prompts / "report.json").write_text(json.dumps({"run": {"overrides": []}, "stages": [stage]}))
    write_scores(prompts / "prompt", {"exact_match/bare-0": scores(0.1), "exact_match/bare-3": scores(0.5)})
    _, points = collect([sweep, prompts])
    found = {point.label: point for point in points if point.kind == "prompted"}
    assert found.keys() == {"bare-0", "bare-3"}
    assert found["bare-3"].value == scores(0.5).mean
    labels = [point.label for point in rank(points)]
    assert labels.index("lora") < labels.index("bare-3") < labels.index("bare-0")


def test_the_best_setting_of_each_method_is_shown_with_its_budget(tmp_path: Path) -> None:
    for number, (method, rate, share) in enumerate(
        [("lora", "1", 0.5), ("lora", "2", 0.9), ("ia3", "1", 0.3), ("dora", "1", 0.1), ("dora", "2", 0.2)]
    ):
        run(tmp_path / str(number), method, scores(share), f"peft={method}", f"optim.lr={rate}")
    _, points = collect([tmp_path])
    found = {point.label: point for point in points if point.kind == "trained"}
    assert (found["lora"].settings, found["lora"].chosen) == (2, "optim.lr=2")
    assert found["lora"].value == scores(0.9).take(range(1, 40, 2)).mean, "rows that did not choose"
    assert (found["ia3"].settings, found["ia3"].chosen) == (1, "")
    assert "between 1 and 2 settings" in caveats(points)[0]


def test_seeds_are_replicates_of_one_setting(tmp_path: Path) -> None:
    for seed in range(3):
        run(tmp_path / str(seed), "lora", scores(0.7, seed), "peft=lora", f"seed={seed}")
    (point,) = (point for point in collect([tmp_path])[1] if point.kind == "trained")
    assert (point.settings, point.seeds) == (1, 3)
    assert point.value == pytest.approx(sum(scores(0.7, seed).mean for seed in range(3)) / 3)


def test_settings_are_compared_where_the_method_is_one(tmp_path: Path) -> None:
    for number, rate in enumerate("12"):
        run(tmp_path / str(number), "lora", scores(0.4 * (number + 1)), "peft=lora", f"optim.lr={rate}")
    points = [point for point in collect([tmp_path])[1] if point.kind == "trained"]
    assert [point.label for point in points] == ["optim.lr=1", "optim.lr=2"]


def test_a_setting_that_is_best_by_chance_is_not_flattered(tmp_path: Path) -> None:
    lucky, better = Scores([1.0, 0.0] * 20, rows=ROWS), Scores([0.0, 1.0] * 20, rows=ROWS)
    for number, each in enumerate((lucky, better)):
        run(tmp_path / str(number), "lora", each, "peft=lora", f"optim.lr={number}")
    run(tmp_path / "2", "ia3", Scores([0.0, 0.0, 0.0, 1.0] * 10, rows=ROWS), "peft=ia3")
    found = {point.label: point for point in collect([tmp_path])[1]}
    assert (found["lora"].chosen, found["lora"].value) == ("optim.lr=0", 0.0)
    assert found["ia3"].value == 0.5, "others are scored on the same rows"


def test_a_ranking_is_held_against_that_of_another_seed(tmp_path: Path) -> None:
    shares = {"lora": (0.9, 0.8), "dora": (0.5, 0.6), "ia3": (0.3, 0.7)}
    for method, pair_of_shares in shares.items():
        for seed, share in enumerate(pair_of_shares):
            values = [float(i < 40 * share) for i in range(40)]
            run(tmp_path / f"{method}{seed}", method, Scores(values, rows=ROWS), f"peft={method}", f"seed={seed}")
            report = tmp_path / f"{method}{seed}" / "report.json"
            report.write_text(report.read_text().replace('"run": {', f'"run": {{"seed": {seed}, '))
    _, points = collect([tmp_path])
    assert repeated(points) == pytest.approx(1 / 3)  # two of three pairs keep their order
    assert any("Kendall's tau 0.33" in note for note in caveats(points))


def test_replicates_on_other_rows_are_not_mixed() -> None:
    first, other = scores(0.5), Scores([1.0], rows=["f" * 16])
    assert mean_of([first, other]) == first


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere"], "there is no report.json in it"),
        (["--metric", "bleu"], "--metric bleu: nothing below has it; there is exact_match"),
        (["--against", "dora"], "--against dora: there is no such method; there is before training, full, lora"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    sweep: Path, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = [] if "nowhere" in arguments else [str(sweep)]
    assert guard(lambda: verbs.run("compare", [*folder, *arguments])) == 2
    assert reason in capsys.readouterr().err
    assert not (sweep / "compare.md").exists()


def test_an_artifact_stands_for_the_last_run_that_reports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Store(Path("store/artifacts")).write("tune", "ab12".ljust(64, "0")) as draft:
        draft.commit({})
    now = Path("store/tune/now")
    run(now, "lora", scores(0.8), "peft=lora")
    report = json.loads((now / "report.json").read_text())
    (now / "report.json").write_text(json.dumps({**report, "artifact": "tune-ab1200000000"}))
    assert guard(lambda: verbs.run("compare", ["tune-ab12", "--outputs", "store"])) == 0
    assert (now / "compare.md").exists()
    assert guard(lambda: verbs.run("compare", ["tune-ab99", "--outputs", "store"])) == 2
    assert "store/tune/now" in capsys.readouterr().err
