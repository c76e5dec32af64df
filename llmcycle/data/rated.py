"""Encoders of what reward models learn from: pairs with a margin, answers with a rating. Shapes: B batch, T tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from llmcycle.data.chat import encode_prompt_completion
from llmcycle.data.encode import Columns, Example, Exchange, Preference, Row, column, each
from llmcycle.data.padding import pad
from llmcycle.data.truncation import check_truncation, truncate
from llmcycle.quantities import Length


class PreferenceMargin(Preference):
    """Rows {"prompt", "chosen", "rejected"}, perhaps "margin": by how much the chosen answer is to score higher.

    A row without one, or with null, has the margin 0.
    """

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """As `Preference`, and `margin`."""
        margins = [example["margin"] for example in each(rows, lambda row: {"margin": margin(row)})]
        return [{**example, "margin": margins[example["index"]]} for example in super().encode(rows, tokenizer)]

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        """As `Preference`, and `margin`: (B,)."""
        margins = torch.tensor([example["margin"] for example in examples], dtype=torch.float32)
        return {**super().collate(examples, pad_token_id), "margin": margins}


class Rated:
    """Rows {"prompt", "completion", "rating"}, the answer encoded after its prompt as `Completion` does.

    Args:
        max_length: tokens.
        truncation: what becomes of longer rows, as in `llmcycle.data.truncation`.
    """

    gives: ClassVar[str] = "rated"
    rows_need: ClassVar[Columns] = (("prompt", "completion", "rating"),)

    def __init__(self, max_length: Length, truncation: str = "error") -> None:
        self.max_length, self.truncation = max_length, check_truncation(truncation)

    def exchanges(self, row: Row) -> list[Exchange]:
        """What the row's one sequence says; no token of it is learnt."""
        return [Exchange(row["prompt"], None, row.get("tools"))]

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a row: `input_ids`, `attention_mask`, `rating`, `index`."""

        def encoded(row: Row) -> Example:
            prompt, completion, rating = column(row, "prompt", "completion", "rating")
            sequence = encode_prompt_completion(tokenizer, prompt, completion, tools=row.get("tools"))
            ids = {name: sequence[name] for name in ("input_ids", "attention_mask")}
            return {**ids, "rating": number(rating, "rating")}

        return truncate(each(rows, encoded), self.max_length, self.truncation)

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`: (B, T), padded on the right; `rating`: (B,)."""
        return {
            "input_ids": pad([e["input_ids"] for e in examples], pad_token_id),
            "attention_mask": pad([e["attention_mask"] for e in examples], 0),
            "rating": torch.tensor([e["rating"] for e in examples], dtype=torch.float32),
        }


def margin(row: Row) -> float:
    """The margin of a pair."""
    return 0.0 if row.get("margin") is None else number(row["margin"], "margin")


def number(value: Any, name: str) -> float:
    """A finite number, which files of text hold as text.

    Raises:
        ValueError: it is none.
    """
    try:
        result = float(value)
    except (TypeError, ValueError):
        result = math.nan
    if not math.isfinite(result):
        raise ValueError(f"its `{name}` is {value!r}, and a finite number is needed: write one, or take the row out")
    return result
