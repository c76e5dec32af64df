"""The pretrain stage as its recipe composes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import seed_everything
from transformers import AutoModelForCausalLM

from llmcycle.building import build
from llmcycle.config import compose, locate
from llmcycle.config.stages import Stage
from llmcycle.evaluate import Metrics

LLAMA = ["model.config.hidden_size=32", "model.config.intermediate_size=64", "model.config.num_hidden_layers=1"]
GPT2 = ["model=gpt2", "model.config.n_embd=32", "model.config.n_layer=1"]


def stage(out: Path, *overrides: str) -> Metrics:
    size = [] if "model=gpt2" in overrides else LLAMA
    root = compose(locate("pretrain"), ["trainer.max_steps=20", "batches.batch_size=4", *size, *overrides])
    seed_everything(root.seed, verbose=False)
    built: Any = build(Stage(root))
    metrics: Metrics = built(out=out, logger=None)
    return metrics


def test_the_storefront(here: Path) -> None:
    metrics = stage(here, "data.count=400", "data.held_out=20")
    assert next(iter(metrics)) == "loss_over_entropy"
    loss, entropy = metrics["held_out_loss"], metrics["entropy"].value
    assert 0 < entropy < loss.value < loss.before
    assert loss.interval[1] < 0
    assert metrics["loss_over_entropy"].value == pytest.approx(loss.value / entropy, rel=1e-6)
    assert len((here / "samples.jsonl").read_text().splitlines()) == 8
    assert json.loads((here / "generation_config.json").read_text())["eos_token_id"] == 0
    config = json.loads((here / "config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (0, 0, 1)


@pytest.fixture
def corpus(here: Path) -> Path:
    path = here / "corpus.txt"
    path.write_text("\n\n".join(f"Speaker {i}:\nThe {word} is {i}." for i in range(90) for word in ("lamp", "bed")))
    return path


def test_other_data_by_overriding_data_alone(here: Path, corpus: Path) -> None:
    metrics = stage(here / "out", "data=tinyshakespeare", f"data.train={corpus}", "data.holdout=20")
    assert next(iter(metrics)) == "held_out_loss"
    assert metrics["held_out_loss"].n == 20
    assert "entropy" not in metrics
    assert metrics["held_out_loss"].value < metrics["held_out_loss"].before


def test_samples_are_continued_beginnings_where_a_recipe_has_none(here: Path, corpus: Path) -> None:
    stage(here / "out", "data=text", f"data.train={corpus}", "~samples", "tokenizer=bytes", *GPT2)
    samples = [json.loads(line) for line in (here / "out" / "samples.jsonl").read_text().splitlines()]
    assert all(sample["prompt"].startswith(("The", "Speaker")) for sample in samples)
    assert len(samples) == 8


SHORT = ["data.holdout=20", "trainer.max_steps=2"]


def test_the_same_seed_gives_the_same_weights(here: Path, corpus: Path) -> None:
    weights = []
    for seed, out in ((0, "a"), (0, "b"), (1, "c")):
        stage(here / out, "data=tinyshakespeare", f"data.train={corpus}", f"seed={seed}", *SHORT)
        weights.append(AutoModelForCausalLM.from_pretrained(here / out).model.embed_tokens.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_training_stops_when_the_validation_loss_rises(here: Path, corpus: Path) -> None:
    stop = ["callbacks=early_stopping", "callbacks.early_stopping.patience=1", "optim=sgd", "optim.lr=0"]
    often = ["trainer=validated", "trainer.precision=32-true", "trainer.val_check_interval=2", "schedule=constant"]
    metrics = stage(here / "out", "data=tinyshakespeare", f"data.train={corpus}", "data.holdout=20", *stop, *often)
    assert metrics["optimizer_steps"].value == 4
