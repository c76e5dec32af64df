"""What a model still knows of general text: its loss there before and after it was trained for something else."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.data.batches import Rows
from llmcycle.evaluate.loss import HeldOutLoss
from llmcycle.evaluate.scores import Scores


class Forgetting:
    """`general_bits_per_byte` of documents as plain text, without a chat template; what it rises by is forgotten.

    Args:
        rows: {"text"}; those of `validation` are scored.
        limit: score so many of them only, drawn by `seed`.
        max_length: tokens seen at once; a longer document is scored in pieces.
        batch_size: sequences at once.
    """

    def __init__(
        self, rows: Rows, limit: int | None = 100, max_length: int = 1024, batch_size: int = 64, seed: int = 0
    ) -> None:
        self.rows, self.limit, self.max_length, self.batch_size, self.seed = rows, limit, max_length, batch_size, seed

    def __call__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Scores]:
        """See the class.

        Raises:
            ValueError: there is no validation row, or it is no plain text.
        """
        rows = self.rows.validation
        if not rows or "text" not in rows[0]:
            raise ValueError("evaluate.forgetting.rows: validation rows with a column `text` are needed")
        drawn = SimpleNamespace(train=[], validation=Random(self.seed).sample(rows, len(rows))[: self.limit])
        scored = HeldOutLoss(drawn, self.max_length, batch_size=self.batch_size)(model, tokenizer)
        return {"general_bits_per_byte": scored["bits_per_byte"]}
