"""A base model whose weights are rounded: whether an adapter can be merged into it, and how."""

from __future__ import annotations

from transformers import PreTrainedModel
from transformers.utils.quantization_config import QuantizationMethod


def is_quantised(model: PreTrainedModel) -> bool:
    """Whether its weights are rounded, by whichever library."""
    return getattr(model, "hf_quantizer", None) is not None


def mergeable_base(model: PreTrainedModel) -> bool:
    """Whether an adapter can be merged into its weights: plain ones, or 4-bit ones, which are written out first."""
    if not is_quantised(model):
        return True
    return model.hf_quantizer.quantization_config.quant_method == QuantizationMethod.BITS_AND_BYTES
