"""Loggers: three arms in one process are three W&B runs of one group, no credential is kept, no failure is fatal."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
import wandb
from offline import Offline, read, runs
from omegaconf import OmegaConf
from toy import command

from llmcycle import masking
from llmcycle.artifact import Store
from llmcycle.evaluate.metric import Metric
from llmcycle.evaluate.scores import Scores, write_scores
from llmcycle.masking import MASK, masked
from llmcycle.tracking import Result, Run, open_loggers, wandb_run, warning

CONF = Path(__file__).parents[2] / "conf" / "logger"
METRICS = {"exact_match": Metric(0.9, 0.2, (0.6, 0.8), "higher"), "loss": Metric(float("nan"))}
IDENTITY = "0123456789ab" + "0" * 52


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    warning._warned.cache_clear()
    wandb_run.out_of_reach.cache_clear()


def option(name: str) -> dict[str, Any]:
    node = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    assert isinstance(node, dict)
    return node


def opened(folder: Path, node: dict[str, Any], config: dict[str, Any] | None = None, name: str = "peft=lora") -> Any:
    return open_loggers(node, Run(str(folder), "lifecycle/sweep", "finetune", name, config or {}))


def made(folder: Path) -> Result:
    """What a stage made, with a score of each of its rows."""
    store = Store(folder / "store")
    if (artifact := store.find(IDENTITY[:12])) is None:
        with store.write("finetune", IDENTITY) as draft:
            rows = [format(row, "016x") for row in range(10)]
            write_scores(draft.folder, {"exact_match": Scores([1.0] * 9 + [0.0], rows=rows)})
            artifact = draft.commit({"method": "lora", "metrics": METRICS, "inputs": {}})
    return Result(artifact, METRICS)


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_three_arms_are_three_finished_runs_of_one_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["llmcycle", "finetune", "deploy.api_key=hunter-argv"])
    for arm, rank in (("lora", 8), ("dora", 4), ("ia3", 2)):
        config = {"peft": {"name": arm, "r": rank, "ref": "${..model}"}, "inputs": {"api_key": "hunter-config"}}
        logger = opened(tmp_path / arm, option("wandb"), config, f"peft={arm}")
        logger.log_hyperparams({"lr": 0.1, "hub_token": "hunter-hparams"})
        logger.log_metrics({"train/loss": rank / 2}, step=3)
        logger.close(made(tmp_path))

    found = {arm: read(tmp_path / arm) for arm in ("lora", "dora", "ia3")}
    runs = {arm: kinds["run"][0] for arm, kinds in found.items()}
    assert {run.run_group for run in runs.values()} == {"lifecycle/sweep"}
    assert {run.job_type for run in runs.values()} == {"finetune"}
    assert {run.project for run in runs.values()} == {"llmcycle"}
    assert len({run.run_id for run in runs.values()}) == 3
    assert {arm: run.display_name for arm, run in runs.items()} == {arm: f"peft={arm}" for arm in runs}
    assert {arm: kinds["exit"][-1].exit_code for arm, kinds in found.items()} == dict.fromkeys(runs, 0)
    for arm, rank in (("lora", 8), ("dora", 4), ("ia3", 2)):
        config = Offline(tmp_path / arm, found[arm]).config
        assert config["peft"] == {"name": arm, "r": rank, "ref": "${..model}"}
        assert config["inputs"] == {"api_key": MASK}
        assert (config["lr"], config["hub_token"]) == (0.1, MASK)
        history = {i.key or i.nested_key[0]: json.loads(i.value_json) for h in found[arm]["history"] for i in h.item}
        assert history["finetune/train/loss"] == rank / 2
        assert history["trainer/global_step"] == 3
    assert b"dora" in bytes_below(tmp_path)
    assert b"hunter" not in bytes_below(tmp_path)
    assert wandb.run is None


@pytest.mark.slow
def test_a_multirun_is_one_group_with_only_the_swept_key_in_its_names(toys: Path) -> None:
    (toys / "recipes" / "tracked.yaml").write_text(
        "# @package _global_\ndefaults: [/recipes/second@_here_, /logger: wandb, _self_]\nname: tracked\n"
    )
    (toys / "model").mkdir()
    (toys / "model" / "model.txt").write_text("base")
    sweep = ("-m", "peft=lora,dora,ia3", "inputs.model=model", "stage.text=same")
    assert command("recipes/tracked.yaml", *sweep) == 0
    every = runs(Path("outputs"))
    assert len(every) == 3
    (group,) = {each.run.run_group for each in every}
    assert group.startswith("tracked/")
    assert {each.run.display_name for each in every} == {"peft=lora", "peft=dora", "peft=ia3"}
    assert {each.run.job_type for each in every} == {"tracked"}
    assert len({json.dumps(each.config["peft"]) for each in every}) == 3
    assert {each.name for run in every for each in run.artifacts(used=False).values()} == {"tracked"}


def test_tags_show_no_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_known", set())
    monkeypatch.setenv("TRACKED", "hunter-tags")
    masking.notice({"tags": ["by ${oc.env:TRACKED}"]})
    logger = opened(tmp_path, {"wandb": {**option("wandb")["wandb"], "tags": ["by hunter-tags"]}})
    logger.close(made(tmp_path))
    assert list(read(tmp_path)["run"][0].tags) == [f"by {MASK}"]
    assert b"hunter" not in bytes_below(tmp_path)


def test_the_summary_has_each_value_with_its_own_interval_and_that_of_its_change(tmp_path: Path) -> None:
    result = made(tmp_path)
    opened(tmp_path / "logs", option("wandb")).close(result)
    summary = Offline(tmp_path, read(tmp_path)).summary
    scores = {key.removeprefix("final/exact_match"): value for key, value in summary.items() if "exact_match" in key}
    assert (scores[""], scores["/before"], round(scores["/change"], 9)) == (0.9, 0.2, 0.7)
    assert scores["/low"] < 0.9 < scores["/high"]
    assert (scores["/change_low"], scores["/change_high"]) == (0.6, 0.8)
    assert (scores["/low"], scores["/high"]) == pytest.approx((0.596, 0.982), abs=1e-3), "Wilson's, of 9 in 10"
    assert "final/loss" not in summary, "not a number is no JSON"


def test_an_artifact_is_references_to_the_store_with_the_digests_of_its_files(tmp_path: Path) -> None:
    result = made(tmp_path)
    opened(tmp_path / "logs", option("wandb")).close(result)
    ((name, artifact),) = Offline(tmp_path, read(tmp_path)).artifacts(used=False).items()
    assert name == f"finetune:{IDENTITY[:12]}"
    assert json.loads(artifact.metadata)["digest"] == result.artifact.manifest["digest"]
    entries = {entry.path: entry for entry in artifact.manifest.contents}
    assert set(entries) == {"artifact.json", "scores.jsonl"}
    for path in result.artifact.folder.iterdir():
        entry = entries[path.name]
        assert Path(url2pathname(urlsplit(entry.ref).path)) == path.resolve()
        assert entry.digest == base64.b64encode(hashlib.md5(path.read_bytes()).digest()).decode()
        assert entry.size == path.stat().st_size


def test_a_failed_stage_is_a_failed_run_and_the_next_one_has_its_own(tmp_path: Path) -> None:
    opened(tmp_path / "a", option("wandb")).close(None)
    opened(tmp_path / "b", option("wandb")).close(made(tmp_path))
    assert [read(tmp_path / name)["exit"][-1].exit_code for name in "ab"] == [1, 0]


def test_a_run_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    own = wandb.init(mode="offline", dir=str(tmp_path), project="own", settings=wandb.Settings(silent=True))
    try:
        logger = opened(tmp_path / "ours", option("wandb"))
        assert logger.experiment.id != own.id
        logger.close(made(tmp_path))
        own.log({"still": "open"})
    finally:
        own.finish()


@pytest.mark.parametrize("method", ["log", "finish"])
def test_an_error_of_wandb_warns_once_and_goes_on(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = opened(tmp_path, option("wandb"))

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError("the disk is full")

    original = getattr(logger.experiment, method)
    with monkeypatch.context() as patch:
        patch.setattr(logger.experiment, method, fail)
        for step in range(3):
            logger.log_metrics({"loss": 1.0}, step=step)
        logger.close(made(tmp_path))
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 1
    assert "the disk is full" in warnings[0]
    if method == "finish":
        original()
    assert read(tmp_path)["exit"], "a broken logger still ends its run"


def test_a_logger_that_cannot_be_opened_warns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    assert opened(tmp_path / "file" / "logs", option("wandb")) is None
    monkeypatch.setattr(wandb, "init", lambda **_: (_ for _ in ()).throw(wandb.errors.CommError("no network")))
    assert opened(tmp_path / "logs", option("wandb")) is None
    (warning,) = capsys.readouterr().err.splitlines()
    assert "the run goes on without it" in warning


def test_an_upload_that_takes_too_long_says_what_to_type_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = opened(tmp_path / "logs", option("wandb"))
    finish = logger.experiment.finish

    def late(**options: Any) -> None:
        finish(**options)
        raise TimeoutError("Timed out finishing run.")

    monkeypatch.setattr(logger.experiment, "finish", late)
    logger.close(made(tmp_path))
    (warning,) = capsys.readouterr().err.splitlines()
    (folder,) = (tmp_path / "logs" / "wandb").glob("offline-run-*")
    assert Path(warning.partition("`wandb sync ")[2].partition("`")[0]).resolve() == folder
    assert not logger.broken


def test_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert wandb_run.default_mode() == "offline"
    (home / ".netrc").write_text("machine example.org login a password b\n")
    assert wandb_run.default_mode() == "offline"
    (home / ".netrc").write_text("machine api.wandb.ai login user password c\n")
    (home / ".netrc").chmod(0o600)
    assert wandb_run.default_mode() == "online"
    (home / ".netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert wandb_run.default_mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert wandb_run.default_mode() == "offline"


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        *(
            (key, True)
            for key in ("api_key", "apiKey", "WANDB_API_KEY", "hf_token", "token", "password", "clientSecret")
        ),
        *((key, False) for key in ("tokenizer", "pad_token", "eos_token", "monkey", "keyword", "path", "tokens_path")),
    ],
)
def test_masked(key: str, secret: bool) -> None:
    shown = MASK if secret else "value"
    assert masked({"a": [{key: "value"}]}) == {"a": [{key: shown}]}
    assert masked({key: {"inner": ["value"]}}) == {key: {"inner": [shown]}}


def test_masking_keeps_numbers_and_the_original() -> None:
    config = {"max_new_tokens": 32, "token_count": 5, "key": "x", "password": None}
    assert masked(config) == {"max_new_tokens": 32, "token_count": 5, "key": MASK, "password": None}
    assert config["key"] == "x"


def test_csv_gets_the_final_metrics_too(tmp_path: Path) -> None:
    logger = opened(tmp_path / "logs", option("csv"))
    logger.log_metrics({"train/loss": 2.0}, step=0)
    logger.close(made(tmp_path))
    with (tmp_path / "logs" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["train/loss"] == "2.0"
    assert rows[-1]["final/exact_match"] == "0.9"


def test_no_option_is_no_logger(tmp_path: Path) -> None:
    assert opened(tmp_path / "logs", {}) is None
    assert not (tmp_path / "logs").exists()
