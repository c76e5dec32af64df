"""The method of `quant=none`: the baseline of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.compress.methods.method import Row


def unchanged(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,  # noqa: ARG001
    rows: Sequence[Row],  # noqa: ARG001
) -> PreTrainedModel:
    """The model as it is."""
    return model
