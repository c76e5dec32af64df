"""How long a text a model can be given that has learnt a row of numbers for each position, as GPT-2 and BERT have."""

from __future__ import annotations

from typing import Any

from peft import PeftModel
from torch import nn

TABLES = ("wpe", "position_embeddings", "embed_positions")  # as transformers calls the layer


def room(model: nn.Module) -> int | None:
    """Tokens that it has positions for, less virtual ones; None where positions are computed and none is missing."""
    config, names = model.config, (name.rpartition(".")[2] for name, _ in layers(model))
    most = getattr(config, "max_position_embeddings", None)
    if not isinstance(most, int) or not any(name in TABLES for name in names):
        return None
    return most - virtual_tokens(model)


def virtual_tokens(model: nn.Module) -> int:
    """Tokens that an adapter puts before a text."""
    adapter: Any = getattr(model, "active_peft_config", None)
    return int(adapter.num_virtual_tokens) if getattr(adapter, "is_prompt_learning", False) else 0


def layers(model: nn.Module) -> list[tuple[str, nn.Embedding]]:
    """The tables of a model by name, without those of an adapter."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    return [(name, layer) for name, layer in base.named_modules() if isinstance(layer, nn.Embedding)]
