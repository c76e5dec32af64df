"""Several processes give the model that one gives, and either takes the other's checkpoints over."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toy import artifacts, command

SIZE = [
    "model.config.hidden_size=32", "model.config.num_hidden_layers=1", "data.count=300", "data.held_out=20",
    "batches.batch_size=8", "trainer.accelerator=cpu", "trainer.precision=32-true", "samples=general",
    "callbacks.checkpoint.every_n_steps=5", "trainer.log_every_n_steps=1",
]  # fmt: skip


def pretrain(outputs: str, *overrides: str) -> Path:
    """The artifact of a short pre-training."""
    assert command("pretrain", *SIZE, f"outputs={outputs}", *overrides) == 0
    (made,) = artifacts(Path(outputs) / "artifacts")
    return Path(outputs) / "artifacts" / made


def losses(outputs: str) -> list[float]:
    """Of every step, as the logger has them."""
    (log,) = Path(outputs).glob("pretrain/*/logs/pretrain/**/metrics.csv")
    head, *rows = (line.split(",") for line in log.read_text().splitlines())
    column = head.index("train/loss")
    return [float(row[column]) for row in rows if row[column]]


def stopped(outputs: str, *overrides: str) -> Path:
    """The newest checkpoint of a run that was told to stop once it had saved."""
    words = ["pretrain", *SIZE, f"outputs={outputs}", *overrides]
    run = subprocess.Popen([sys.executable, "-m", "llmcycle.cli", *words], stderr=subprocess.PIPE, text=True)
    saved = Path(outputs) / "artifacts" / ".unfinished"
    while not list(saved.glob("*/step-*/checkpoint.json")):
        time.sleep(0.02)
        assert run.poll() is None, run.stderr.read()
    run.send_signal(signal.SIGTERM)
    assert run.wait() == 143
    assert not artifacts(Path(outputs) / "artifacts")
    return max(saved.glob("*/step-*"))


def close(one: Path, other: Path) -> bool:
    a, b = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return all(torch.allclose(a[name], b[name], atol=1e-4) for name in a)


def same(one: Path, other: Path) -> bool:
    return (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["ddp", "fsdp2"])
def test_two_processes_are_one(here: Path, trainer: str) -> None:
    steps = "trainer.max_steps=50"
    alone, shared = (
        pretrain("alone", steps, "trainer.accumulate_grad_batches=2"),
        pretrain("shared", steps, f"trainer={trainer}", "trainer.accumulate_grad_batches=2"),
    )
    assert losses("alone") == pytest.approx(losses("shared"), abs=1e-5)
    assert len(losses("alone")) == 50
    assert close(alone, shared)
    metrics = json.loads((shared / "artifact.json").read_text())["metrics"]
    assert metrics["optimizer_steps"]["value"] == 50
    assert metrics["validation_loss"]["value"] < metrics["validation_loss"]["before"]


@pytest.mark.slow
def test_two_processes_that_were_stopped_go_on_exactly(here: Path) -> None:
    options = ("trainer=ddp", "trainer.max_steps=40", "trainer.precision=32-true")
    whole = pretrain("whole", *options)
    at = stopped("cut", *options)
    assert int(at.name.partition("-")[2]) < 40
    assert same(whole, pretrain("cut", *options))
    assert not (Path("cut") / "artifacts" / ".unfinished" / whole.name.rpartition("-")[2]).exists()


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [("ddp", "tiny"), ("tiny", "fsdp2")])
def test_another_number_of_processes_takes_a_checkpoint_over(here: Path, first: str, then: str) -> None:
    options = ("trainer.max_steps=40", "trainer.precision=32-true")
    whole = pretrain("whole", "trainer=tiny", *options)
    at = stopped("cut", f"trainer={first}", *options)
    assert close(whole, pretrain("cut", f"trainer={then}", f"resume={at}", *options))
