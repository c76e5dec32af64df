"""What the comparisons with TRL's trainers on preferences share: rows, a policy away from its reference, gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from transformers import LlamaForCausalLM


def perturbed(model: LlamaForCausalLM, seed: int = 1) -> dict[str, Tensor]:
    """Weights near those of `model`: a policy some steps away from its reference."""
    generator = torch.Generator().manual_seed(seed)
    return {k: v + 0.005 * torch.randn(v.shape, generator=generator) for k, v in model.state_dict().items()}


def copied(model: LlamaForCausalLM) -> LlamaForCausalLM:
    """The same weights in another model."""
    copy = type(model)(model.config)
    copy.load_state_dict(model.state_dict())
    return copy


def refuse_difference(value: Tensor, model: Any, expected_value: Tensor, expected_model: Any) -> None:
    """Losses, and all gradients together, are equal to 1e-5 of their size, or of 1 where they are smaller."""
    assert value.item() == pytest.approx(expected_value.item(), abs=1e-5, rel=1e-5)
    expected = {name: p.grad for name, p in expected_model.named_parameters()}
    norm = get_total_norm(list(expected.values())).item()
    assert norm > 1e-3, "there is nothing to compare"
    differences = [p.grad - expected[name] for name, p in model.named_parameters()]
    assert len(differences) == len(expected)
    assert get_total_norm(differences).item() <= 1e-5 * max(1.0, norm)
