"""Ways to make a model smaller, a file each."""

from __future__ import annotations

from typing import TypeAlias

from torchao.core.config import AOBaseConfig
from transformers import TorchAoConfig
from transformers.utils.quantization_config import QuantizationConfigMixin

from .magnitude import Magnitude
from .method import Method, Row
from .reloaded import Reloaded
from .torchao import Torchao
from .unchanged import unchanged

__all__ = ["Magnitude", "Method", "Quant", "Reloaded", "Row", "Torchao", "as_method", "unchanged"]

# What the group `quant` gives: a library's configuration, a method, or nothing.
Quant: TypeAlias = AOBaseConfig | QuantizationConfigMixin | Method | None


def as_method(quant: Quant) -> Method:
    """The method that an option stands for.

    Raises:
        ValueError: it is none.
    """
    if not quant:  # an option left empty (quant=none) arrives as {}
        return unchanged
    if isinstance(quant, AOBaseConfig):
        return Torchao.of(quant)
    if isinstance(quant, TorchAoConfig):
        return Torchao(quant)
    if isinstance(quant, QuantizationConfigMixin):
        return Reloaded(quant)
    if callable(quant):
        return quant
    raise ValueError(
        f"quant: {type(quant).__name__} is no quantisation config and no function (model, tokenizer, rows) -> model; "
        "choose one that `llmcycle ls quant` lists"
    )
