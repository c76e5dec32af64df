"""Combined models against the papers' formulas, written out by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig
from torch import Tensor
from transformers import LlamaForCausalLM

from llmcycle.model import adapt, combine

DENSITY = 0.3
WEIGHTS = {"a": 0.8, "b": 0.5, "c": -0.2}


@pytest.fixture
def tuned(model: LlamaForCausalLM) -> dict[str, LlamaForCausalLM]:
    """Three models, each with another LoRA merged into it."""
    made = {}
    for name in WEIGHTS:
        adapted = adapt(copy.deepcopy(model), LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4))
        for key, parameter in adapted.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(parameter, std=0.3)
        made[name] = adapted.merge_and_unload()
    return made


def changes(model: LlamaForCausalLM, tuned: dict[str, LlamaForCausalLM], key: str) -> Tensor:
    """[M, rows, columns]."""
    return torch.stack([m.get_parameter(key) - model.get_parameter(key) for m in tuned.values()]).detach()


def linear(taus: Tensor, weights: Tensor) -> Tensor:
    """Task arithmetic: sum of w tau."""
    return torch.einsum("m,mij->ij", weights, taus)


def trim(tau: Tensor) -> Tensor:
    """TIES, section 3: the top k % by magnitude stay, the others become 0."""
    kept = int(DENSITY * tau.numel())
    threshold = tau.abs().flatten().sort(descending=True).values[kept - 1]
    return torch.where(tau.abs() >= threshold, tau, 0.0)


def ties(taus: Tensor, weights: Tensor) -> Tensor:
    """Trim; elect the sign with the greater total; mean of those that agree with it (weighted, as peft has it)."""
    trimmed = torch.stack([trim(tau) for tau in taus])
    elected = torch.where(trimmed.sum(0) >= 0, 1.0, -1.0)
    agree = torch.sign(trimmed) == elected
    total = (weights[:, None, None] * trimmed * agree).sum(0)
    return total / agree.sum(0).clamp(min=1)


def magnitude_prune(taus: Tensor, weights: Tensor) -> Tensor:
    return linear(torch.stack([trim(tau) for tau in taus]), weights)


@pytest.mark.parametrize(
    ("method", "formula"), [("linear", linear), ("ties", ties), ("magnitude_prune", magnitude_prune)]
)
def test_formula(
    model: LlamaForCausalLM, tuned: dict[str, LlamaForCausalLM], method: str, formula: Callable[..., Tensor]
) -> None:
    key = "model.layers.1.mlp.down_proj.weight"
    expected = model.get_parameter(key) + formula(changes(model, tuned, key), torch.tensor([*WEIGHTS.values()]))
    untouched = model.get_parameter("model.norm.weight").clone()
    combined = combine(model, tuned, WEIGHTS, method, DENSITY)
    assert torch.allclose(combined.get_parameter(key), expected, atol=1e-6)
    assert torch.equal(combined.get_parameter("model.norm.weight"), untouched)


def test_dare_keeps_a_share_and_scales_it_up(model: LlamaForCausalLM, tuned: dict[str, LlamaForCausalLM]) -> None:
    """Section 3.1: each entry is dropped with probability 1 - density, and the others are divided by the density."""
    key = "model.layers.0.mlp.up_proj.weight"
    one = {"a": tuned["a"]}
    tau, start = changes(model, one, key)[0], model.get_parameter(key).clone()
    combined = [combine(copy.deepcopy(model), one, {"a": 1.0}, "dare_linear", DENSITY, seed=seed) for seed in (0, 0, 1)]
    first, again, other = (made.get_parameter(key) - start for made in combined)
    kept = first.abs() > 1e-7
    assert torch.allclose(first[kept], tau[kept] / DENSITY, atol=1e-6)
    assert abs(kept.float().mean() - DENSITY) < 0.05
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("method", ["linear", "dare_ties"])
def test_one_model_of_weight_1_is_that_model(
    model: LlamaForCausalLM, tuned: dict[str, LlamaForCausalLM], method: str
) -> None:
    ids = torch.tensor([[5, 6, 7, 8]])
    combined = combine(model, {"a": tuned["a"]}, {"a": 1.0}, method, density=1.0)
    assert torch.allclose(combined(ids).logits, tuned["a"](ids).logits, atol=1e-5)


def test_what_does_not_stand_on_the_base_is_refused(
    model: LlamaForCausalLM, tuned: dict[str, LlamaForCausalLM]
) -> None:
    with pytest.raises(ValueError, match="mean: unknown; choose one of linear, ties"):
        combine(model, tuned, WEIGHTS, "mean")
    with pytest.raises(ValueError, match="density=0: the share"):
        combine(model, tuned, WEIGHTS, "ties", 0)
    with pytest.raises(ValueError, match=r"stage.weights: there are models \['a', 'b', 'c'\]"):
        combine(model, tuned, {"a": 1.0})
    tuned["b"].resize_token_embeddings(300)
    with pytest.raises(ValueError, match=r"inputs.b: its parameters are not those of inputs.base"):
        combine(model, tuned, WEIGHTS)
    with pytest.raises(ValueError, match=r"inputs.a: its adapter"):
        combine(model, {"a": adapt(tuned["a"], LoraConfig(target_modules="all-linear"))}, {"a": 1.0})
