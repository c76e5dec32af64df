"""Bytes by part: the formula from shapes equals what a real step leaves."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from peft import LoraConfig
from transformers import LlamaForCausalLM

from llmcycle.model import adapt, expected, measure

LORA = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=2)
OPTIMIZERS = [
    partial(torch.optim.AdamW, lr=1e-3),
    partial(torch.optim.SGD, lr=1e-3, momentum=0.9),
    partial(torch.optim.Adafactor, lr=1e-3),
]


@pytest.mark.parametrize("peft", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("optim", OPTIMIZERS, ids=lambda o: o.func.__name__)
def test_formula_equals_measurement(model: LlamaForCausalLM, optim: Any, peft: LoraConfig | None) -> None:
    adapted = adapt(model, peft)
    optimizer = optim([p for p in adapted.parameters() if p.requires_grad])
    ids = torch.tensor([[5, 6, 7]])
    adapted(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    assert measure(adapted, optimizer) == expected(adapted, optim)


def test_adam_by_hand(model: LlamaForCausalLM) -> None:
    """fp32 gradients and two fp32 moments are 12 bytes a parameter, and Adam counts steps in 4 bytes a tensor."""
    memory = expected(model, OPTIMIZERS[0])
    count = sum(p.numel() for p in model.parameters())
    assert memory.trainable_parameters == memory.parameters == count
    assert memory.gradients == 4 * count
    assert memory.optimizer_state == 8 * count + 4 * len(list(model.parameters()))
    assert memory.trained == memory.gradients + memory.optimizer_state


def test_full_training_is_counted_without_the_adapter(model: LlamaForCausalLM) -> None:
    full = expected(model, OPTIMIZERS[0])
    lora = adapt(model, LORA)
    beside = expected(lora, OPTIMIZERS[0], train_all=True)
    assert (beside.trained, beside.trainable_parameters) == (full.trained, full.trainable_parameters)
    assert expected(lora, OPTIMIZERS[0]).trained < full.trained


def test_tied_weights_count_once(model: LlamaForCausalLM) -> None:
    untied = measure(model).weights
    model.config.tie_word_embeddings = True
    model.lm_head.weight = model.model.embed_tokens.weight
    assert untied - measure(model).weights == 4 * model.lm_head.weight.numel()
