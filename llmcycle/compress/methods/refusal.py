"""Why a model can't be quantised so, in words with a remedy."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import PreTrainedModel

from llmcycle.compress.size import linear_layers

# What torchao and transformers raise of layers, machines and packages that do not suit.
REASONS = (RuntimeError, ValueError, AssertionError, NotImplementedError, ImportError, TypeError, AttributeError)


def refusal(config: object, model: PreTrainedModel, reason: str) -> str:
    """The message, with the widths of the model's layers."""
    widths = sorted({layer.in_features for layer in linear_layers(model).values()})
    return (
        f"quant: {type(config).__name__} can't quantise this model's linear layers of input widths {widths} "
        f"({reason.strip().splitlines()[0]}); choose a group size that divides the widths, or another option"
    )


def is_quantised(layer: nn.Linear) -> bool:
    """Whether the weight is no longer a plain floating-point tensor."""
    weight = layer.weight.data
    return type(weight) is not Tensor or not weight.is_floating_point()
