"""Models with an output of one number on the body of another model: of a row, of its steps, or of each token."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
)

from llmcycle.data.chat import choose_pad
from llmcycle.quantities import Dtype

AnyDtype = Dtype | torch.dtype


def scorer(pretrained_model_name_or_path: str, dtype: AnyDtype = "float32") -> PreTrainedModel:
    """A reward model to be: a fresh head, read at the last token that is no padding.

    Of an encoder such as BERT the head reads what its own class for sequences reads: the first token, or a mean.
    """
    return with_head(AutoModelForSequenceClassification, pretrained_model_name_or_path, dtype)[0]


def step_scorer(pretrained_model_name_or_path: str, dtype: AnyDtype = "float32") -> PreTrainedModel:
    """A process reward model to be: a fresh head on each token of a language model or an encoder."""
    return with_head(AutoModelForTokenClassification, pretrained_model_name_or_path, dtype)[0]


def critic(pretrained_model_name_or_path: str, dtype: AnyDtype = "float32") -> PreTrainedModel:
    """A critic to be: a head on each token. A reward model lends its own; a fresh one foretells 0 at first."""
    model, fresh = with_head(AutoModelForTokenClassification, pretrained_model_name_or_path, dtype)
    for name, parameter in model.named_parameters():
        if name in fresh:
            torch.nn.init.zeros_(parameter)
    return model


def with_head(auto: Any, path: str, dtype: AnyDtype) -> tuple[PreTrainedModel, set[str]]:
    """A model of one output by an auto class of transformers, and the names of weights that `path` does not have."""
    pad = choose_pad(AutoTokenizer.from_pretrained(path)).pad_token_id
    model, report = auto.from_pretrained(path, num_labels=1, pad_token_id=pad, dtype=dtype, output_loading_info=True)
    return model, set(report["missing_keys"])
