"""A search as it is typed: its trials, its table, its exit code; killed at random and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from toy import command

import llmcycle
from llmcycle.search.trials import study_of

HILL = ("recipes/hill.yaml", "search=tpe", "stage.x=interval(0,1)")


def folder() -> Path:
    (only,) = Path("outputs/hill").glob("search-*")
    return only


def words() -> list[list[str]]:
    return [trial.user_attrs["words"] for trial in study_of(folder(), None).trials]


def test_it_climbs_and_says_how(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*HILL, "search.trials=16", "stage.side=left,right") == 0
    said = capsys.readouterr().out
    assert said.startswith("search: up to 16 trials, logged in outputs/hill/search-")
    assert "arm 16 of 16" in said
    assert "... and 6 more, in sweep.txt" in said
    assert "16 trials: 16 complete" in said
    line = next(line for line in said.splitlines() if line.startswith("best: "))
    assert line.startswith("best: llmcycle recipes/hill.yaml stage.x=0.")
    assert "stage.side=left" in line
    assert "search" not in line
    x = float(line.split("stage.x=")[1].split()[0])
    assert abs(x - 0.3) < 0.1
    rows = [line.split()[:3] for line in said.splitlines() if line.startswith("stage.x=") and " to " in line]
    assert len(rows) == 3, "a number with many values is told by thirds"
    assert len(words()) == 16


def test_more_trials_go_on_and_the_same_again_does_nothing(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*HILL, "search.trials=3") == 0
    before = words()
    assert command(*HILL, "search.trials=5") == 0
    assert words()[:3] == before
    assert len({tuple(each) for each in words()}) == 5
    capsys.readouterr()
    assert command(*HILL, "search.trials=5", "-m") == 0
    assert "5 arms have ended before" in capsys.readouterr().out
    assert len(words()) == 5
    assert command(*HILL, "search.trials=5", "stage.step=2") == 0, "another search has a folder of its own"
    assert len(list(Path("outputs/hill").glob("search-*"))) == 2


def test_a_failed_arm_is_recorded_and_makes_the_exit_code(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("recipes/hill.yaml", "search=grid", "stage.side=left,none", "stage.x=0.1,0.2") == 1
    said = capsys.readouterr().out
    assert "4 trials: 2 complete, 2 failed (there is no such side)" in said
    assert "best: llmcycle recipes/hill.yaml stage.side=left stage.x=0.2" in said


def test_seeds_are_replicates_and_their_mean_is_what_counts(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*HILL, "search.trials=2", "seed=0,4") == 0
    trials = study_of(folder(), None).trials
    assert [trial.user_attrs["arms"] for trial in trials] == [[0, 1], [2, 3]]
    for trial in trials:
        reports = [json.loads((folder() / str(arm) / "report.json").read_text()) for arm in trial.user_attrs["arms"]]
        heights = [report["stages"][0]["metrics"]["height"]["value"] for report in reports]
        assert heights[1] - heights[0] == pytest.approx(0.04)
        assert trial.value == pytest.approx(-sum(heights) / 2)
    assert "2     " in capsys.readouterr().out, "runs an arm"


def test_another_metric_and_a_space_in_yaml(toys: Path) -> None:
    Path("recipes/own.yaml").write_text(
        "# @package _global_\n"
        "defaults: [/recipes/hill@_here_, /search: random, _self_]\n"
        "search: {trials: 4, metric: x, space: {stage.x: 'interval(0, 1)'}}\n"
    )
    assert command("recipes/own.yaml") == 0
    (own,) = Path("outputs/own").glob("search-*")
    for trial in study_of(own, None).trials:
        assert trial.value == pytest.approx(float(trial.user_attrs["words"][-1].partition("=")[2]))


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        (("search=tpe",), "try: 'optim.lr=tag(log, interval(1e-4, 1e-2))'"),
        (("search=tpee", "stage.x=0.1,0.2"), "try: search=tpe"),
        (("search=tpe", "stage.x=0.1,0.2", "search.trials=none"), "try: search.trials=20"),
        (("search=tpe", "stage.x=0.1,0.2", "search.trial=3"), "try: search.trials=3"),
        (("search=halving", "stage.x=0.1,0.2"), "try: search=tpe"),
        (("search=grid", "stage.x=interval(0,1)"), "try: search=tpe"),
        (("-m", "stage.x=interval(0,1)"), "try: search=tpe"),
        (("search=tpe", "stage.x=interval(2,1)"), "try: 'stage.x=interval(1.0, 2.0)'"),
        (("search=tpe", "stage.x=tag(log, interval(0,1))"), "try: 'stage.x=interval(0.0, 1.0)'"),
        (("search=tpe", "stage.step=interval(1,8)"), "try: 'stage.step=int(interval(1,8))'"),
        (("search=tpe,random", "stage.x=0.1,0.2"), "try: search=tpe"),
        (("search=tpe", "search.trials=2,3", "stage.x=0.1,0.2"), "try: search.trials=2"),
        (
            ("search=tpe", "stage.x=interval(0,1)", "search.sampler._target_=os.system"),
            "try: llmcycle --allow os.system",
        ),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(
    toys: Path, capsys: pytest.CaptureFixture[str], typed: tuple[str, ...], remedy: str
) -> None:
    assert command("recipes/hill.yaml", *typed) == 2
    assert remedy in capsys.readouterr().err
    assert not Path("outputs/hill").exists()


@pytest.mark.parametrize("flag", ["--help", "--info"])
def test_a_search_is_shown_without_a_run(toys: Path, capsys: pytest.CaptureFixture[str], flag: str) -> None:
    assert command(*HILL, "stage.step=1,2", flag) == 0
    assert "hill" in capsys.readouterr().out
    assert not Path("outputs/hill").exists()


def test_a_long_range_is_judged_at_its_ends(toys: Path) -> None:
    from llmcycle.config import check, locate, plan_search

    plan = plan_search(locate("recipes/hill.yaml"), ["search=random", "stage.step=range(1,301)"], check)
    assert plan is not None
    assert [arm[-1] for arm in plan.arms] == ["stage.step=1", "stage.step=300"]


def test_records_are_kept_elsewhere_by_the_command_line_alone(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("recipes/own.yaml").write_text(
        "# @package _global_\n"
        "defaults: [/recipes/hill@_here_, /search: random, _self_]\n"
        "search: {trials: 2, storage: 'sqlite:///stolen.db', space: {stage.x: 'interval(0, 1)'}}\n"
    )
    assert command("recipes/own.yaml") == 2
    assert "taken from the command line alone" in capsys.readouterr().err
    assert not Path("stolen.db").exists()
    assert command("recipes/own.yaml", "search.storage=sqlite:///mine.db") == 0
    assert Path("mine.db").exists()


def test_a_metric_that_is_not_there_is_told_after_the_first_arm(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*HILL, "search.trials=5", "search.metric=hieght") == 2
    assert "try: search.metric=height" in capsys.readouterr().err
    assert len(list(Path("outputs/hill").glob("search-*/*/report.json"))) == 1


@pytest.mark.parametrize("damage", ["text", "gone"])
def test_a_damaged_record_is_named_and_another_arms_report_is_never_taken(
    toys: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    assert command(*HILL, "search.trials=2") == 0
    record = folder() / "search.db"
    if damage == "text":
        record.write_text("no database")
        assert command(*HILL, "search.trials=2") == 2
        said = capsys.readouterr().err
        assert f"try: mv {folder()} {folder()}.damaged" in said
        assert "Traceback" not in said
        folder().rename(f"{folder()}.damaged")
    else:
        record.unlink()
    assert command(*HILL, "search.trials=2", "search.sampler.seed=5" if damage == "text" else "search.trials=2") == 0
    for trial in study_of(next(Path("outputs/hill").glob("search-????????????")), None).trials:
        x = float(trial.user_attrs["words"][-1].partition("=")[2])
        assert trial.value == pytest.approx((x - 0.3) ** 2 - 1), "of its own arm"


def test_a_damaged_report_is_named(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*HILL, "search.trials=2") == 0
    report = folder() / "1" / "report.json"
    report.write_text("{")
    assert command(*HILL, "search.trials=3") == 2
    assert f"try: mv {report} {report}.damaged" in capsys.readouterr().err
    report.rename(f"{report}.damaged")
    assert command(*HILL, "search.trials=3") == 0


def test_two_processes_do_not_search_the_same(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*HILL, "search.trials=1") == 0
    from llmcycle.search.run import alone

    with alone(folder()):
        assert command(*HILL, "search.trials=2") == 2
    assert "another process runs this search" in capsys.readouterr().err
    assert len(words()) == 1
    with alone(folder()):
        pass  # the refused command and the first one hold it no more


@pytest.mark.slow
def test_killed_three_times_there_are_as_many_trials_as_asked_for_and_none_twice(toys: Path) -> None:
    here, source = Path(__file__).parents[1], Path(llmcycle.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{source}", "TOY_SLEEP": "0.1"}
    typed = [sys.executable, "-m", "llmcycle.cli", *HILL, "search.trials=30", "stage.step=range(1,9)", "--allow", "toy"]
    draw, done = Random(7), 0
    for kill in range(3):
        process = subprocess.Popen(typed, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
        deadline, wanted = time.monotonic() + 120, done + draw.randint(3, 7)
        while (done := len(list(Path("outputs").glob("hill/search-*/*/report.json")))) < wanted:
            assert process.poll() is None, f"it ended before kill {kill}"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(typed, env=environment, check=True, capture_output=True)
    trials = study_of(folder(), None).trials
    assert len(trials) == 30
    assert len({tuple(trial.user_attrs["words"]) for trial in trials}) == 30
    assert all(trial.state.is_finished() for trial in trials)
    assert sorted(arm for trial in trials for arm in trial.user_attrs["arms"]) == list(range(30))


def test_what_changes_no_result_makes_no_other_search(toys: Path) -> None:
    from llmcycle.config import check, locate, plan_search

    def identity(*more: str) -> str:
        plan = plan_search(locate("recipes/hill.yaml"), ["search=random", "stage.x=interval(0,1)", *more], check)
        assert plan is not None
        return plan.identity

    assert {identity(more) for more in ("hydra.verbose=true", "search.trials=99", "outputs=outputs")} == {identity()}
    assert identity("stage.step=2") != identity() != identity("search.metric=x")
