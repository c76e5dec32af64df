"""Several processes give the model that one gives, and either takes the other's checkpoints over."""

from __future__ import annotations

import json
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


def close(one: Path, other: Path) -> bool:
    a, b = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return all(torch.allclose(a[name], b[name], atol=1e-4) for name in a)


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
