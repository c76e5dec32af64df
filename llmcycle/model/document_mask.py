"""Attention inside documents for models that read both ways. Shapes: B rows, T tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.masking_utils import (
    create_bidirectional_mask,
    create_bidirectional_sliding_window_mask,
    packed_sequence_mask_function,
)


def document_mask(config: PreTrainedConfig, position_ids: Tensor) -> Any:
    """The `attention_mask` by which packed documents do not see each other: [B, 1, T, T], by kind of layer if several.

    transformers finds packed documents in `position_ids` [B, T] for causal models only. Here as there a document begins
    where positions start again.
    """
    documents = (position_ids == 0).cumsum(-1)
    arguments = {
        "config": config,
        "inputs_embeds": torch.empty(*position_ids.shape, 1, device=position_ids.device),  # for its shape and dtype
        "attention_mask": None,
        "and_mask_function": packed_sequence_mask_function(documents),
    }
    kinds = set(getattr(config, "layer_types", None) or ())
    if "sliding_attention" not in kinds:
        return create_bidirectional_mask(**arguments)
    return {
        "full_attention": create_bidirectional_mask(**arguments),
        "sliding_attention": create_bidirectional_sliding_window_mask(**arguments),
    }
