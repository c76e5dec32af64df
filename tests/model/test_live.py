"""Activations are what torch's own allocator says, and what can be counted by hand."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig
from torch import nn
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaForCausalLM

from llmcycle.model import adapt
from llmcycle.model.live import live


def allocated(step: nn.Module, ids: torch.Tensor) -> int:
    """Bytes at the most above those at the start, by torch's profiler."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        step(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("peft", [None, LoraConfig(target_modules="all-linear", r=2)], ids=["full", "lora"])
def test_it_is_what_the_allocator_says(model: LlamaForCausalLM, peft: LoraConfig | None, checkpointing: bool) -> None:
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    adapted = adapt(model, peft).train()
    ids = torch.arange(5, 5 + 4 * 64).remainder(200).view(4, 64)
    with live(adapted) as counter:
        adapted(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    adapted.zero_grad()
    assert counter.peak_with_gradients == pytest.approx(allocated(adapted, ids), rel=0.03)
    assert counter.gradients == sum(4 * p.numel() for p in adapted.parameters() if p.requires_grad)
    assert counter.now == 0, "nothing stays but the gradients"


def test_two_layers_by_hand() -> None:
    """A layer keeps its input for the gradient of its weight, a ReLU its output. A number has 4 bytes."""
    layers = nn.Sequential(nn.Linear(8, 16, bias=False), nn.ReLU(), nn.Linear(16, 4, bias=False))
    given = torch.randn(10, 8)
    with live(layers) as counter:
        output = layers(given).sum()
        hidden, relu, total = 10 * 16, 10 * 16, 1
        assert counter.peak == 4 * (hidden + relu), "the first layer's input was there before"
        assert counter.now == 4 * (relu + total), "neither what ReLU was given nor what was summed up is kept"
        output.backward()
    assert counter.gradients == 4 * (8 * 16 + 16 * 4)


def test_views_and_writing_in_place_make_nothing() -> None:
    given = torch.zeros(4, 4)
    with live(nn.Identity()) as counter:
        given.view(16).add_(1)
        given.t()
    assert counter.peak == 0
    with live(nn.Identity()) as counter:
        kept = given + 1
        del kept
        assert (counter.now, counter.peak) == (0, 64)
