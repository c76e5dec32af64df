"""Loggers: three arms in one process are three W&B runs of one group, no credential is kept, no failure is fatal."""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from omegaconf import OmegaConf
from toy import command
from wandb.proto import wandb_internal_pb2 as proto

from llmcycle import masking
from llmcycle.evaluate.metric import Metric
from llmcycle.masking import MASK, masked
from llmcycle.tracking import close_logger, loggers, open_logger, wandb_logger

CONF = Path(__file__).parents[1] / "conf" / "logger"
METRICS = {"exact_match": Metric(0.9, 0.2, (0.6, 0.8), "higher"), "loss": Metric(float("nan"))}
FACTS = {"id": "0123456789ab", "name": "finetune", "inputs": {"model": {"id": "ba9876543210"}}}
BLOCK = 32768  # bytes of a block of LevelDB's log format, in which .wandb files are written
HEADER = 7  # bytes before a chunk (checksum 4, length 2, type 1), and at the start of the file


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    loggers._warned.cache_clear()


def option(name: str) -> dict[str, Any]:
    node = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    assert isinstance(node, dict)
    return node


def opened(folder: Path, node: dict[str, Any], config: dict[str, Any] | None = None, name: str = "peft=lora") -> Any:
    return open_logger(
        node, folder=folder, group="lifecycle/sweep", job_type="finetune", run_name=name, config=config or {}
    )


def records(path: Path) -> Iterator[proto.Record]:
    """The records of a .wandb file: https://github.com/google/leveldb/blob/main/doc/log_format.md."""
    data, place, whole = path.read_bytes(), HEADER, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        whole += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # a full record, or the last chunk of one
            record = proto.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def read(folder: Path) -> dict[str, list[Any]]:
    """Everything in a folder's only offline run, by kind of record.

    wandb's service writes the last records a moment after `finish` has returned, and all of them before it ends itself.
    """
    (path,) = folder.rglob("*.wandb")
    deadline = time.monotonic() + 10
    found: dict[str, list[Any]] = {}
    while "exit" not in found and time.monotonic() < deadline:
        found = {}
        for record in records(path):
            kind = record.WhichOneof("record_type")
            found.setdefault(kind, []).append(getattr(record, kind))
        time.sleep(0.02)
    assert "exit" in found, "the run was never finished"
    return found


def settled(folder: Path) -> dict[str, Any]:
    """The run's final config."""
    found = read(folder)
    updates = [item for run in found["run"] for item in run.config.update]
    updates += [item for config in found.get("config", []) for item in config.update]
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in updates}


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_three_arms_are_three_finished_runs_of_one_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["llmcycle", "finetune", "deploy.api_key=hunter-argv"])
    for arm, rank in (("lora", 8), ("dora", 4), ("ia3", 2)):
        config = {"peft": {"name": arm, "r": rank, "ref": "${..model}"}, "inputs": {"api_key": "hunter-config"}}
        logger = opened(tmp_path / arm, option("wandb"), config, f"peft={arm}")
        logger.log_hyperparams({"lr": 0.1, "hub_token": "hunter-hparams"})
        logger.log_metrics({"train/loss": rank / 2}, step=3)
        close_logger(logger, METRICS, FACTS)

    found = {arm: read(tmp_path / arm) for arm in ("lora", "dora", "ia3")}
    runs = {arm: kinds["run"][0] for arm, kinds in found.items()}
    assert {run.run_group for run in runs.values()} == {"lifecycle/sweep"}
    assert {run.job_type for run in runs.values()} == {"finetune"}
    assert {run.project for run in runs.values()} == {"llmcycle"}
    assert len({run.run_id for run in runs.values()}) == 3
    assert {arm: run.display_name for arm, run in runs.items()} == {arm: f"peft={arm}" for arm in runs}
    assert {arm: kinds["exit"][-1].exit_code for arm, kinds in found.items()} == dict.fromkeys(runs, 0)
    for arm, rank in (("lora", 8), ("dora", 4), ("ia3", 2)):
        config = settled(tmp_path / arm)
        assert config["peft"] == {"name": arm, "r": rank, "ref": "${..model}"}
        assert config["inputs"] == {"api_key": MASK}
        assert (config["lr"], config["hub_token"]) == (0.1, MASK)
        history = {i.key or i.nested_key[0]: json.loads(i.value_json) for h in found[arm]["history"] for i in h.item}
        assert history["train/loss"] == rank / 2
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
    folders = sorted(path.parent for path in Path("outputs").rglob("*.wandb"))
    assert len(folders) == 3
    found = [read(folder) for folder in folders]
    runs = [kinds["run"][0] for kinds in found]
    assert len({run.run_group for run in runs}) == 1
    assert runs[0].run_group.startswith("tracked/")
    assert {run.display_name for run in runs} == {"peft=lora", "peft=dora", "peft=ia3"}
    assert {run.job_type for run in runs} == {"tracked"}
    assert [kinds["exit"][-1].exit_code for kinds in found] == [0, 0, 0]
    assert len({json.dumps(settled(folder)["peft"]) for folder in folders}) == 3
    assert {kinds["artifact"][0].name for kinds in found} == {"tracked"}


def test_tags_show_no_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_known", set())
    monkeypatch.setenv("TRACKED", "hunter-tags")
    masking.notice({"tags": ["by ${oc.env:TRACKED}"]})
    logger = opened(tmp_path, {**option("wandb"), "tags": ["by hunter-tags"]})
    close_logger(logger, METRICS, FACTS)
    assert list(read(tmp_path)["run"][0].tags) == [f"by {MASK}"]
    assert b"hunter" not in bytes_below(tmp_path)


def test_final_metrics_and_lineage_are_logged(tmp_path: Path) -> None:
    close_logger(opened(tmp_path, option("wandb")), METRICS, FACTS)
    found = read(tmp_path)
    summary = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for s in found["summary"] for i in s.update}
    assert summary["final/exact_match"] == 0.9
    assert summary["final/exact_match/before"] == 0.2
    assert (summary["final/exact_match/change_low"], summary["final/exact_match/change_high"]) == (0.6, 0.8)
    assert "final/loss" not in summary, "not a number is no JSON"
    (artifact,) = found["artifact"]
    assert artifact.name == "finetune"
    assert json.loads(artifact.metadata) == FACTS
    assert "0123456789ab" in artifact.aliases


def test_a_failed_stage_is_a_failed_run_and_the_next_one_has_its_own(tmp_path: Path) -> None:
    close_logger(opened(tmp_path / "a", option("wandb")), {}, {})
    close_logger(opened(tmp_path / "b", option("wandb")), {}, FACTS)
    assert [read(tmp_path / name)["exit"][-1].exit_code for name in "ab"] == [1, 0]


def test_a_run_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    own = wandb.init(mode="offline", dir=str(tmp_path), project="own", settings=wandb.Settings(silent=True))
    try:
        logger = opened(tmp_path / "ours", option("wandb"))
        assert logger.experiment.id != own.id
        close_logger(logger, METRICS, FACTS)
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
        close_logger(logger, METRICS, FACTS)
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
    close_logger(None, METRICS, FACTS)
    (warning,) = capsys.readouterr().err.splitlines()
    assert "the run goes on without it" in warning


def test_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert wandb_logger.default_mode() == "offline"
    (home / ".netrc").write_text("machine example.org login a password b\n")
    assert wandb_logger.default_mode() == "offline"
    (home / ".netrc").write_text("machine api.wandb.ai login user password c\n")
    (home / ".netrc").chmod(0o600)
    assert wandb_logger.default_mode() == "online"
    (home / ".netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "x")
    assert wandb_logger.default_mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert wandb_logger.default_mode() == "offline"


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
    close_logger(logger, METRICS, FACTS)
    with (tmp_path / "logs" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["train/loss"] == "2.0"
    assert rows[-1]["final/exact_match"] == "0.9"


def test_no_option_is_no_logger(tmp_path: Path) -> None:
    assert opened(tmp_path / "logs", {}) is None
    assert not (tmp_path / "logs").exists()
