"""What a model still knows of general text: its loss there before and after it was trained for something else."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from random import Random
from types import SimpleNamespace
from typing import Any, ClassVar

from transformers import PreTrainedTokenizerBase

from llmcycle.data.batches import Rows
from llmcycle.data.chat import IGNORE, encode_text
from llmcycle.data.encode import Columns, split
from llmcycle.engine import Engine, Labelled
from llmcycle.evaluate.loss import HeldOutLoss
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.scores import Scores
from llmcycle.quantities import Count, Length


class Forgetting(HeldOutLoss):
    """`general_bits_per_byte` of documents as plain text, without a chat template; what it rises by is forgotten.

    The text alone is scored: which token ends a document is another one once a model chats.

    Args:
        rows: {"text"}; those of `validation` are scored.
        limit: score so many of them only, drawn by `seed`.
        max_length: tokens seen at once; a longer document is scored in pieces.
    """

    scores: ClassVar[Mapping[str, Better]] = {"general_bits_per_byte": "lower"}
    rows_need: ClassVar[Columns] = (("text",),)

    def __init__(self, rows: Rows, max_length: Length = 1024, limit: Count | None = 100, seed: int = 0) -> None:
        super().__init__(rows, max_length, limit)
        self.seed = seed

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class.

        Raises:
            ValueError: there is no validation row, or it is no plain text.
        """
        rows = self.rows.validation
        if not rows or "text" not in rows[0]:
            raise ValueError("evaluate.forgetting.rows: validation rows with a column `text` are needed")
        drawn = copy.copy(self)
        drawn.rows = SimpleNamespace(train=[], validation=Random(self.seed).sample(rows, len(rows)))
        return {"general_bits_per_byte": HeldOutLoss.__call__(drawn, engine)["bits_per_byte"]}

    def _encode(self, row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> list[Labelled]:
        start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        pieces = split([*start, *encode_text(tokenizer, row["text"])], self.max_length)
        return [(ids, [IGNORE, *ids[1:]]) for ids in pieces]
