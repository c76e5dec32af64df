"""Masked-token pre-training as its recipe composes it: it trains, and is handed on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import seed_everything
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer

from llmcycle.building import build
from llmcycle.config import compose, locate
from llmcycle.config.stages import Stage
from llmcycle.evaluate import Metrics

BERT = ["model.config.hidden_size=32", "model.config.intermediate_size=64", "model.config.num_hidden_layers=2"]
MODERN = ["model=modernbert", "encode=masked_modernbert", *BERT]
DATA = ["data.count=400", "data.held_out=40", "batches.batch_size=8"]


def stage(out: Path, *overrides: str) -> Metrics:
    root = compose(locate("pretrain_mlm"), [*DATA, *overrides])
    seed_everything(root.seed, verbose=False)
    built: Any = build(Stage(root))
    metrics: Metrics = built(out=out, logger=None)
    return metrics


@pytest.mark.parametrize(
    "model", [pytest.param(BERT, id="bert"), pytest.param(MODERN, id="modernbert", marks=pytest.mark.slow)]
)
def test_it_learns_and_is_handed_on(model: list[str], here: Path) -> None:
    metrics = stage(here / "out", *model, "trainer.max_steps=20", "optim.lr=1e-2")
    assert next(iter(metrics)) == "masked_loss"
    assert metrics["masked_loss"].value < metrics["masked_loss"].before - 0.5
    assert metrics["masked_accuracy"].value > metrics["masked_accuracy"].before
    assert metrics["hand_off_difference"].value <= 2e-5
    reloaded = AutoModelForMaskedLM.from_pretrained(here / "out")
    assert reloaded.config.pad_token_id == 1
    tokenizer = AutoTokenizer.from_pretrained(here / "out")
    assert tokenizer.mask_token == "<|mask|>"
    assert AutoConfig.from_pretrained(here / "out").vocab_size >= len(tokenizer)
