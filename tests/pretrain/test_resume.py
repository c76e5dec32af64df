"""Exact resume with each optimiser and objective of pre-training, in the manner of tests/train/test_resume.py."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from learners import learner
from tiny_run import Rows, Stopped, batches, run, same
from transformers import BertConfig, BertForMaskedLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.data.batches import Batches
from llmcycle.data.masked import Masked
from llmcycle.pretrain import MaskedToken, NextToken
from llmcycle.train import Learner
from llmcycle.train.optimizers import AdamW8bit, Muon
from llmcycle.train.schedules import warmup_stable_decay

SIZES = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
OPTIMISERS = {
    "muon": partial(Muon, lr=1e-2),
    "adamw_8bit": partial(AdamW8bit, lr=1e-2),
    "adafactor": partial(torch.optim.Adafactor, lr=1e-2),
    "fused": partial(torch.optim.AdamW, lr=1e-2, fused=True),
}
OPTIONS: dict[str, Any] = {"loss_chunk": 8, "gradient_checkpointing": True}


def module(objective: NextToken, optim: Any, vocabulary: int, **options: Any) -> Learner:
    torch.manual_seed(1)
    model: Any = (
        BertForMaskedLM(BertConfig(vocab_size=vocabulary, **SIZES))
        if isinstance(objective, MaskedToken)
        else LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, attention_dropout=0.2, **SIZES))
    )
    return learner(model, objective, None, optim, schedule=warmup_stable_decay, **options)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_goes_on_exactly(name: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    def go(folder: str, stop: int | None = None) -> Learner:
        trained = module(NextToken(z_loss=1e-3), OPTIMISERS[name], len(tokenizer), **OPTIONS)
        return run(tmp_path / folder, batches(tokenizer, 0, True), 2, stop, trained=trained)

    whole = go("whole")
    with pytest.raises(Stopped):
        go("cut", 11)
    assert same(go("cut"), whole)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("stop", [5, 14])
def test_hidden_tokens_are_the_same_after_a_restart(
    stop: int, workers: int, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokenizer.add_special_tokens({"mask_token": "<|mask|>"})
    rows = [{"text": f"{'abcdefgh'[: 1 + i % 7]} {i}"} for i in range(40)]

    def go(folder: str, stop: int | None = None) -> Learner:
        data = Batches(Rows(rows, rows[:4]), Masked(16, 0.3), tokenizer, 4, 4, seed=5, workers=workers)
        trained = module(MaskedToken(), OPTIMISERS["fused"], len(tokenizer))
        return run(tmp_path / folder, data, 2, stop, trained=trained)

    whole = go("whole")
    with pytest.raises(Stopped):
        go("cut", stop)
    assert same(go("cut"), whole)
