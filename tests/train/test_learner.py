"""Optimiser groups, schedules and counts of a learner."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import peft
import pytest
import torch
from learners import learner
from tiny_run import Noisy, batches, module, run
from torch import nn
from transformers import (
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
)

from llmcycle.pretrain import NextToken
from llmcycle.train import Learner, Models
from llmcycle.train.groups import decay_groups
from llmcycle.train.pace import count_tokens
from llmcycle.train.schedules import build_schedule


def names(model: nn.Module, group: dict[str, list[nn.Parameter]]) -> set[str]:
    ids = {id(p) for p in group["params"]}
    return {name for name, p in model.named_parameters() if id(p) in ids}


def test_norms_and_embeddings_do_not_decay(model: LlamaForCausalLM) -> None:
    hidden, head, plain = decay_groups(model)
    assert names(model, hidden) == {n for n, _ in model.named_parameters() if "proj" in n}
    assert names(model, head) == {"lm_head.weight"}
    assert names(model, plain) == {n for n, _ in model.named_parameters() if "norm" in n or "embed" in n}
    assert plain["weight_decay"] == 0.0
    assert not any("weight_decay" in group for group in (hidden, head)), "the optimiser's own setting counts"


def test_a_head_tied_to_the_embedding_does_not_decay(model: LlamaForCausalLM) -> None:
    model.lm_head.weight = model.model.embed_tokens.weight
    hidden, _ = decay_groups(model)
    assert all("proj" in name for name in names(model, hidden))


def test_biases_do_not_decay_and_an_empty_group_is_left_out() -> None:
    layer = nn.Linear(2, 2)
    assert [len(g["params"]) for g in decay_groups(layer)] == [1, 1]
    layer.weight.requires_grad_(False)
    assert [g["params"][0] is layer.bias for g in decay_groups(layer)] == [True]


def test_an_adapter_alone_is_trained(model: LlamaForCausalLM) -> None:
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"])
    module = learner(model, NextToken(), lora)
    trained = [name for group in decay_groups(module.model) for name in names(module.model, group)]
    assert trained
    assert all("lora" in name for name in trained)
    assert learner(model, NextToken(), {}).model is model


def rates(schedule: partial, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    built = build_schedule(schedule, optimizer, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        built.step()
    return found


def test_the_schedule_learns_the_length_of_the_run() -> None:
    for warmup in (0.2, 2):
        found = rates(partial(get_cosine_schedule_with_warmup, num_warmup_steps=warmup), 10)
        assert found[:3] == [0.0, 0.5, 1.0]
        assert found[-1] < 0.1
    fixed = rates(partial(get_cosine_schedule_with_warmup, num_warmup_steps=0, num_training_steps=1000), 10)
    assert fixed[-1] > 0.99, "a length that YAML sets is kept"


def test_schedules_with_other_names_for_the_length_or_none() -> None:
    assert rates(partial(get_constant_schedule_with_warmup, num_warmup_steps=0.1), 10)[1:] == [1.0] * 9
    assert rates(partial(torch.optim.lr_scheduler.CosineAnnealingLR), 10)[-1] < 0.1
    assert rates(partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=2.0), 10)[-1] < 0.1


def test_padding_is_not_counted() -> None:
    ids = torch.zeros(2, 3, dtype=torch.long)
    assert count_tokens({"input_ids": ids}) == 6
    assert count_tokens({"input_ids": ids, "labels": torch.tensor([[1, 2, -100], [1, -100, -100]])}) == 3
    assert count_tokens({"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 1], [1, 0, 0]])}) == 4


def test_compiling_without_a_compiler_is_refused_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    Learner.preflight(compile=False)
    with pytest.raises(ValueError, match=r"module\.compile: .*no-such-compiler.*or set module\.compile=false"):
        Learner.preflight(compile=True)
    with pytest.raises(ValueError, match=r"module\.loss_chunk=0"):
        Learner.preflight(loss_chunk=0)


class Watching(Noisy):
    """Notes before each forward pass whether the gradients of an earlier one are still held."""

    def __init__(self) -> None:
        self.held: list[bool] = []

    def loss(self, models: Models, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        self.held.append(any(p.grad is not None for p in models.parameters()))
        return super().loss(models, batch)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradients_are_held_for_no_longer_than_their_step(
    accumulate: int, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    made = module()
    made.objective = Watching()
    run(tmp_path, batches(tokenizer, 0, packed=False), accumulate, trained=made, max_steps=3)
    assert made.objective.held == [batch % accumulate > 0 for batch in range(3 * accumulate)]
