"""Greedy texts are compared up to the first tie, and virtual tokens are not tokens."""

from __future__ import annotations

import pytest
import torch
from peft import PromptTuningConfig
from torch import Tensor
from transformers import LlamaForCausalLM

from llmcycle.handoff.observe import Observation, same_greedy
from llmcycle.model import adapt, token_logits


def greedy(tokens: list[int], logits: list[list[float]]) -> Observation:
    return Observation(torch.zeros(1, 3), torch.tensor([tokens]), torch.tensor([logits]))


BEFORE = greedy([0, 2, 1], [[9.0, 0.0, 0.0], [1.0, 7.0, 7.0001], [0.0, 5.0, 0.0]])


@pytest.mark.parametrize(
    ("tokens", "same"),
    [([0, 2, 1], True), ([0, 1, 0], True), ([0, 1], True), ([0, 0, 1], False), ([1, 2, 1], False), ([0, 2, 2], False)],
)
def test_a_tie_may_fall_either_way(tokens: list[int], same: bool) -> None:
    after = greedy(tokens, [[0.0, 0.0, 0.0]] * len(tokens))
    assert same_greedy(BEFORE, after, tolerance=2e-5) == same


def test_logits_of_virtual_tokens_are_cut_off(model: LlamaForCausalLM) -> None:
    ids = torch.tensor([[5, 6, 7]])
    plain: Tensor = token_logits(model, ids, torch.ones_like(ids))
    prompted = adapt(model, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)).eval()
    assert token_logits(prompted, ids, torch.ones_like(ids)).shape == plain.shape
