"""Sweeps under other launchers: an arm that fails is told, a stage that arms share is made once, cores are shared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from toy import artifacts

import llmcycle
from llmcycle.launchers import THREADS, at_once, cores, share_of_cores

JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
SUBMITIT = ("hydra/launcher=submitit_local",)


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, since a launcher starts others with what this one has imported."""
    here, source = Path(__file__).parent, Path(llmcycle.__file__).parents[1]
    without = {key: value for key, value in os.environ.items() if key != THREADS}
    environment = {**without, "PYTHONPATH": f"{here}{os.pathsep}{source}", **variables}
    typed = [sys.executable, "-m", "llmcycle.cli", *words, "--allow", "toy"]
    return subprocess.run(typed, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [JOBLIB, SUBMITIT], ids=["joblib", "submitit"])
def test_four_arms_of_which_one_fails(toys: Path, launcher: tuple[str, ...]) -> None:
    ended = run("recipes/toy.yaml", "-m", "third.stage.text=a,b,c,d", "second.stage.text=x", *launcher, TOY_FAIL="c")
    assert ended.returncode == 1, ended.stderr
    rows = [line.split() for line in ended.stdout.splitlines() if line.startswith("third.stage.text=")]
    assert [row[0] for row in rows] == [f"third.stage.text={letter}" for letter in "abcd"]
    assert rows[2][3:] == ["failed:", "c", "was", "told", "to", "fail"]
    made = [name.partition("-")[0] for name in artifacts()]
    assert made == ["first", "second", "third", "third", "third"], "what the arms share is made once"


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [JOBLIB, SUBMITIT], ids=["joblib", "submitit"])
def test_a_search_runs_its_trials_beside_each_other(toys: Path, launcher: tuple[str, ...]) -> None:
    words = ("recipes/hill.yaml", "search=tpe", "search.trials=4", "search.parallel=2", "stage.x=interval(0,1)")
    ended = run(*words, *launcher)
    assert ended.returncode == 0, ended.stderr
    assert "4 trials: 4 complete" in ended.stdout
    reports = [json.loads(path.read_text()) for path in Path("outputs/hill").glob("search-*/*/report.json")]
    threads = {report["stages"][0]["metrics"]["threads"]["value"] for report in reports}
    assert threads == {max(1, cores() // 2)}


def test_cores_are_shared_by_what_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(THREADS, raising=False)
    monkeypatch.setattr("llmcycle.launchers.cores", lambda: 8)
    assert share_of_cores({"n_jobs": 2}, 5) == {THREADS: "4"}
    assert share_of_cores({"n_jobs": -1}, 5) == {THREADS: "1"}
    assert share_of_cores({"_target_": "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"}, 4) == {
        THREADS: "2"
    }
    assert share_of_cores({"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}, 4) == {}
    assert at_once({"n_jobs": 16}, 3) == 3
    monkeypatch.setenv(THREADS, "1")
    assert share_of_cores({"n_jobs": 2}, 5) == {}, "what the user has set stays"
