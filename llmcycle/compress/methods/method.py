"""What the compress stage asks of a method: a quantiser, a pruner, or anything else that makes a model smaller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from transformers import PreTrainedModel, PreTrainedTokenizerBase

Row = Mapping[str, Any]


class Method(Protocol):
    """A function from a model to a smaller one, which `save_pretrained` can write."""

    def __call__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row]
    ) -> PreTrainedModel:
        """The smaller model; the given one may be changed and given back.

        Args:
            model: with plain weights, in evaluation mode.
            rows: the training rows of the recipe's `data`, to calibrate with.
        """
        ...
