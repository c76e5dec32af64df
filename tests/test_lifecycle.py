"""Stages run in order, are skipped when up to date, survive being killed, and replay to the same artifact."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from toy import artifacts, command

import llmcycle
from llmcycle.artifact import Artifact, Draft
from llmcycle.evaluate import Metric
from llmcycle.lifecycle import Outcome
from llmcycle.report import StageRecord
from llmcycle.stage_run import run_stage


def reports(pattern: str = "toy/*") -> list[dict]:
    paths = sorted(Path("outputs").glob(f"{pattern}/report.json"), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(path.read_text()) for path in paths]


def states(report: dict) -> dict[str, str]:
    words = {(False, None): "done", (True, None): "up to date"}
    return {stage["name"]: words.get((stage["skipped"], stage["error"]), "failed") for stage in report["stages"]}


def test_a_lifecycle_runs_once_and_then_has_nothing_to_do(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("recipes/toy.yaml") == 0
    before = artifacts()
    assert [name.partition("-")[0] for name in before] == ["first", "second", "third"]
    assert (next(Path("outputs/artifacts").glob("third-*")) / "model.txt").read_text() == "onealphabetatwothree"
    assert command("recipes/toy.yaml") == 0
    first, second = reports()
    assert set(states(first).values()) == {"done"}
    assert set(states(second).values()) == {"up to date"}
    assert [stage["optimizer_steps"] for stage in second["stages"]] == [0, 0, 0]
    assert artifacts() == before
    assert "next: llmcycle chat" in capsys.readouterr().out


def test_the_plan_ends_with_what_earlier_runs_took(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def planned(*overrides: str) -> list[str]:
        assert command("recipes/toy.yaml", *overrides) == 0
        lines = capsys.readouterr().out.splitlines()
        return [line for line in lines if line.startswith("estimate:")]

    assert planned("lifecycle=[first]") == [], "nothing is known yet"
    cost = r"estimate: about \d+ s and [\d.]+ [MG]B of memory"
    (some,) = planned("first.seed=1")
    assert re.fullmatch(rf"{cost} for 1 of 3 stages, going by earlier runs", some)
    assert planned("first.seed=1") == [], "nothing is left to do"
    assert planned("first.stage.text=other", "lifecycle=[first]") == [], "another configuration tells nothing"
    (next(Path("outputs/artifacts").glob("third-*")) / "artifact.json").write_text("{}")
    (known,) = planned("second.seed=2", "first.seed=1", "lifecycle=[first,second]")
    assert re.fullmatch(rf"{cost}, going by earlier runs", known)


def collect() -> None:
    assert command("gc") == 0


def test_gc_beside_a_run_takes_nothing_that_it_made_or_will_need(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def commit(draft: Draft, manifest: dict) -> Artifact:
        artifact = committed(draft, manifest)
        collect()
        return artifact

    committed = Draft.commit
    monkeypatch.setattr(Draft, "commit", commit)
    assert command("recipes/toy.yaml") == 0
    made = artifacts()
    assert len(made) == 3

    def find(*arguments: Any) -> StageRecord:
        collect()
        return run(*arguments)

    run = run_stage
    monkeypatch.setattr("llmcycle.lifecycle.run_stage", find)
    shutil.rmtree("outputs/toy")  # so that nothing but the run to come refers to them
    assert command("recipes/toy.yaml") == 0
    assert set(states(reports()[-1]).values()) == {"up to date"}
    shutil.rmtree("outputs/toy")
    assert command("recipes/second.yaml", f"inputs.model={made[0]}", "stage.text=again") == 0
    assert made[0] in artifacts(), "an input of the run, which no artifact names before it ends"
    assert made[2] not in artifacts()


def test_a_failed_run_keeps_no_links_to_what_it_did_not_make(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_FAIL", "two")
    assert command("recipes/toy.yaml") == 1
    assert [path.name for path in Path("outputs/toy").glob("*/*") if path.is_symlink()] == ["first"]


def test_a_changed_key_reruns_what_comes_after_it(toys: Path) -> None:
    command("recipes/toy.yaml")
    assert command("recipes/toy.yaml", "second.stage.text=other") == 0
    assert states(reports()[-1]) == {"first": "up to date", "second": "done", "third": "done"}


def test_force_makes_every_stage_again(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMCYCLE_FORCE", "")
    command("recipes/toy.yaml")
    assert command("recipes/toy.yaml", "--force") == 0
    assert set(states(reports()[-1]).values()) == {"done"}


def test_a_failed_stage_leaves_nothing_and_the_next_run_goes_on(
    toys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOY_FAIL", "two")
    assert command("recipes/toy.yaml") == 1
    assert "two was told to fail" in capsys.readouterr().err
    assert [name.partition("-")[0] for name in artifacts()] == ["first"]
    assert states(reports()[-1]) == {"first": "done", "second": "failed"}
    monkeypatch.delenv("TOY_FAIL")
    assert command("recipes/toy.yaml") == 0
    assert states(reports()[-1]) == {"first": "up to date", "second": "done", "third": "done"}


def test_a_killed_run_goes_on_where_it_was(toys: Path) -> None:
    here, source = Path(__file__).parent, Path(llmcycle.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{source}", "TOY_SLEEP": "60"}
    run = [sys.executable, "-m", "llmcycle.cli", "recipes/toy.yaml", "--allow", "toy"]
    subprocess.run([*run, "lifecycle=[first]"], env=environment | {"TOY_SLEEP": "0"}, check=True, capture_output=True)
    process = subprocess.Popen(run, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(Path("outputs/artifacts/.partial").glob("*/")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [name.partition("-")[0] for name in artifacts()] == ["first"]
    assert command("recipes/toy.yaml") == 0
    assert states(reports()[-1]) == {"first": "up to date", "second": "done", "third": "done"}


def test_replaying_the_recipe_of_an_artifact_gives_its_id(toys: Path) -> None:
    command("recipes/toy.yaml", "seed=3", "peft@second.peft=dora")
    before = artifacts()
    for name in before:
        assert command(f"outputs/artifacts/{name}/recipe.yaml") == 0
    assert artifacts() == before
    assert {state for report in reports("recipe/*") for state in states(report).values()} == {"up to date"}


def test_a_corrupt_artifact_is_refused_and_nothing_is_written(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command("recipes/toy.yaml")
    path = next(Path("outputs/artifacts").glob("first-*")) / "model.txt"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    before = sorted(Path("outputs").rglob("*"))
    assert command("recipes/toy.yaml", "second.stage.text=other") == 2
    assert "model.txt" in capsys.readouterr().err
    assert sorted(Path("outputs").rglob("*")) == before


def test_a_sweep_shares_what_its_arms_have_in_common(toys: Path) -> None:
    assert command("recipes/toy.yaml", "-m", "peft@second.peft=lora,dora", "third.stage.text=c,d") == 0
    assert [name.partition("-")[0] for name in artifacts()].count("first") == 1
    assert [name.partition("-")[0] for name in artifacts()].count("second") == 2
    assert [name.partition("-")[0] for name in artifacts()].count("third") == 4


def test_a_bad_arm_is_refused_before_the_first_one_runs(toys: Path) -> None:
    assert command("recipes/toy.yaml", "-m", "peft@second.peft=lora,dorra") == 2
    assert not Path("outputs").exists()


def test_a_failed_arm_does_not_stop_the_others_but_the_exit_code_tells(
    toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_FAIL", "bad")
    assert command("recipes/toy.yaml", "-m", "third.stage.text=bad,good") == 1
    assert [list(states(report).values())[-1] for report in reports("toy/*/*")] == ["failed", "done"]


def test_an_artifact_in_the_folder_of_another_is_neither_taken_for_it_nor_removed(
    toys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("recipes/toy.yaml", "lifecycle=[first]") == 0
    (name,) = artifacts()
    assert command("recipes/toy.yaml", "lifecycle=[first]", "first.stage.text=other") == 0
    (other,) = set(artifacts()) - {name}
    place = Path("outputs/artifacts")
    shutil.rmtree(place / name)
    (place / other).rename(place / name)
    for flags in ([], ["--force"]):
        capsys.readouterr()
        assert command("recipes/toy.yaml", "lifecycle=[first]", *flags) == 2
        said = capsys.readouterr().err
        assert f"mv {place / name} {place / other}" in said
        assert artifacts() == [name]
    (place / name).rename(place / other)
    assert command("recipes/toy.yaml", "lifecycle=[first]") == 0


def test_a_broken_artifact_is_made_again_by_force(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("recipes/toy.yaml", "lifecycle=[first]") == 0
    (name,) = artifacts()
    (Path("outputs/artifacts") / name / "model.txt").write_text("changed")
    capsys.readouterr()
    assert command("recipes/toy.yaml", "lifecycle=[first]") == 1
    assert "--force" in capsys.readouterr().err
    assert command("recipes/toy.yaml", "lifecycle=[first]", "--force") == 0
    assert command("recipes/toy.yaml", "lifecycle=[first]") == 0


def test_the_recipe_of_an_input_in_another_store_runs_again(toys: Path) -> None:
    assert command("recipes/toy.yaml", "lifecycle=[first]", "outputs=far") == 0
    (first,) = artifacts(Path("far/artifacts"))
    assert command("recipes/second.yaml", f"inputs.model=far/artifacts/{first}") == 0
    (second,) = artifacts()
    assert command(f"outputs/artifacts/{second}/recipe.yaml") == 0
    assert artifacts() == [second]


def test_what_a_run_says_is_in_its_log(toys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("recipes/toy.yaml", "lifecycle=[first]") == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line]
    (log,) = Path("outputs").glob("toy/*/llmcycle.log")
    assert [line for line in log.read_text().splitlines() if line] == said


def test_a_refusal_is_said_once_and_not_advised_again(
    toys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOY_FAIL", "one")
    assert command("recipes/toy.yaml", "seed=3") == 1
    out, err = capsys.readouterr()
    assert (out + err).count("one was told to fail") == 1
    assert "seed=3" not in out


@pytest.mark.parametrize("typed", ["${oc.env:A_KEY}", "hf-0123456789"])
def test_a_secret_stands_in_no_file_and_in_no_message(
    toys: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], typed: str
) -> None:
    monkeypatch.setenv("A_KEY", "hf-0123456789")
    Path("conf/logger/keyed.yaml").write_text("_target_: pytorch_lightning.loggers.CometLogger\napi_key: null\n")
    chosen = ["+logger@first.logger=keyed", f"first.logger.api_key={typed}"]
    assert command("recipes/toy.yaml", "lifecycle=[first]", *chosen) == 0
    assert "hf-0123456789" not in "".join(capfd.readouterr())
    texts = [path for path in Path("outputs").rglob("*") if path.is_file()]
    assert not [path for path in texts if b"hf-0123456789" in path.read_bytes()]


def test_one_word_chooses_the_logger_of_every_stage(toys: Path) -> None:
    from llmcycle.config import compose, locate

    root = compose(locate("lifecycle"), ["logger=wandb", "logger.wandb.project=mine"])
    assert {root[stage].logger.wandb.project for stage in root.lifecycle} == {"mine"}


def test_several_loggers_are_chosen_by_a_list_of_every_stage_and_beside_a_sweep(toys: Path) -> None:
    from llmcycle.config import compose, locate
    from llmcycle.config.compose import in_full

    root = compose(locate("lifecycle"), ["logger=[csv,wandb]"])
    assert {tuple(root[stage].logger) for stage in root.lifecycle} == {("csv", "wandb")}
    full = in_full(locate("lifecycle"), ["seed=0,1", "peft@finetune.peft=glob(l*)", "logger=wandb"])
    assert {f"logger@{stage}.logger=wandb" for stage in root.lifecycle} < set(full)


def test_a_sweep_tells_a_line_an_arm_and_then_what_is_best(
    toys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOY_FAIL", "bad")
    assert command("recipes/toy.yaml", "-m", "third.stage.text=long,longer,bad") == 1
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith("sweep: 3 arms, logged in outputs/toy/")
    assert [line.partition("  ")[0] for line in lines[1:4]] == [f"arm {n} of 3" for n in range(1, 4)]
    assert lines[1].startswith("arm 1 of 3  third.stage.text=long  third length ↑ 4, ")
    assert "left" in lines[1]
    assert "failed at third" in lines[3]
    assert said.err.count("third: bad was told to fail") == 1
    assert "best: llmcycle recipes/toy.yaml third.stage.text=longer  (6.000)" in lines
    assert len(lines) < 20


def test_what_a_sweeper_optimises_is_the_marked_metric_of_the_last_stage() -> None:
    loss, match = Metric(1.0, better="lower"), Metric(0.5, better="higher", headline=True)
    records = (StageRecord("a", metrics={"loss": loss}), StageRecord("b", metrics={"loss": loss, "match": match}))
    assert Outcome(records).headline == 0.5
    assert Outcome((*records, StageRecord("c", error="no memory"))).headline is None, "a failed run is never the best"


def test_a_setting_that_only_the_swept_options_have_is_set_in_each_arm(
    toys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["recipes/toy.yaml", "-m", "peft@second.peft=oft,coft", "second.peft.oft_block_size=4", "second.seed=0"]
    assert command(*sweep) == 0
    assert "arm 1 of 2  peft@second.peft=oft  third length" in capsys.readouterr().out, "what is swept, and no more"
    made = list(Path("outputs/artifacts").glob("second-*/recipe.yaml"))
    assert len(made) == 2
    assert all("oft_block_size: 4" in path.read_text() for path in made)
