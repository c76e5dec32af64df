"""Answers that are good or bad by themselves: their encoder, and pairs as such rows. Shapes: B batch, T tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from llmcycle.data.chat import IGNORE, Prompt
from llmcycle.data.encode import Columns, Completion, Example, Row, column, supervised_batch
from llmcycle.data.mixture import Mixture
from llmcycle.data.samples import own

LABELS = {True: True, False: False, "true": True, "false": False, "1": True, "0": False}  # 1 and 0 are True and False
MISMATCHED = "mismatched_"
SIDES = ("chosen", "rejected")


class Unpaired(Completion):
    """Rows {"prompt", "completion", "label"}: label says whether the completion is desirable, true or false."""

    gives: ClassVar[str] = "unpaired"
    rows_need: ClassVar[Columns] = (("prompt", "completion", "label"),)

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a row: those of `Completion`, and `desirable`."""
        examples = super().encode(rows, tokenizer)
        return [{**example, "desirable": desirable(rows[example["index"]], example["index"])} for example in examples]

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`, `labels`: (B, T), padded on the right; `desirable`: (B,), true or false.

        The same with `mismatched_` before the name, (B, T'): each prompt with the completion of the row before it, the
        first with the last, from which KTO estimates its reference point (arXiv:2402.01306, section 4.2).
        """
        before = [examples[-1], *examples[:-1]]
        crossed = [mismatch(*pair, self.max_length) for pair in zip(examples, before, strict=True)]
        return {
            **supervised_batch(examples, pad_token_id),
            "desirable": torch.tensor([example["desirable"] for example in examples]),
            **{f"{MISMATCHED}{name}": tensor for name, tensor in supervised_batch(crossed, pad_token_id).items()},
        }


def desirable(row: Row, index: int) -> bool:
    """A row's label.

    Raises:
        ValueError: it is neither true nor false.
    """
    try:
        (label,) = column(row, "label")
        known = label.strip().lower() if isinstance(label, str) else label
        if not isinstance(known, str | int) or known not in LABELS:
            raise ValueError(
                f"its `label` is {label!r}, and true or false is needed: whether the completion is desirable. Map "
                "another column, as in `data.columns.label=NAME`"
            )
    except ValueError as error:
        raise ValueError(f"data: row {index} (from 0): {error}") from error
    return LABELS[known]


def mismatch(example: Example, other: Example, max_length: int) -> Example:
    """An example's prompt with another one's completion, cut to `max_length` tokens."""
    end, start = _answer_at(example), _answer_at(other)
    return {
        "input_ids": [*example["input_ids"][:end], *other["input_ids"][start:]][:max_length],
        "labels": [*example["labels"][:end], *other["labels"][start:]][:max_length],
    }


def _answer_at(example: Example) -> int:
    """The place of the first token that is learnt; the end where none is."""
    labels: list[int] = example["labels"]
    return next((place for place, label in enumerate(labels) if label != IGNORE), len(labels))


class UnpairedRows(Mixture):
    """Pairs as rows of one answer each: the chosen one is desirable, the rejected one is not; other columns stay.

    Args:
        sources, weights, seed: of data options with rows {"prompt", "chosen", "rejected"}, one or several, as in
            `llmcycle.data.mixture.Mixture`.
    """

    rows_need: ClassVar[Columns] = (("prompt", *SIDES),)

    @staticmethod
    def rows_have(sources: Mapping[str, Any], **_: object) -> tuple[str, ...] | None:
        """Columns of the rows; None where those of the pairs are not known, or are none of pairs."""
        written = any(isinstance(columns, tuple) or columns is None for columns in sources.values())
        pairs = Mixture.rows_have(sources) if written else ("prompt", *SIDES)  # none yet, as where an option is offered
        if pairs is None or not set(SIDES) <= set(pairs):
            return None
        return (*(name for name in pairs if name not in SIDES), "completion", "label")

    @cached_property
    def train(self) -> list[Row]:
        """Rows to train on, the two of a pair one after the other; training shuffles them."""
        return apart(super().train)

    @cached_property
    def validation(self) -> list[Row]:
        """Rows to score on."""
        return apart(super().validation)

    @property
    def samples(self) -> list[Prompt]:
        """Prompts of the first source: see `llmcycle.data.samples.own`."""
        return own(next(iter(self.sources.values())))


def apart(pairs: Iterable[Row]) -> list[Row]:
    """Two rows of each pair."""
    rows: list[Row] = []
    for index, pair in enumerate(pairs):
        try:
            answers = column(pair, *SIDES)
        except ValueError as error:
            raise ValueError(f"data.sources: row {index} (from 0): {error}") from error
        rest = {name: value for name, value in pair.items() if name not in SIDES}
        rows += [{**rest, "completion": text, "label": good} for text, good in zip(answers, (True, False), strict=True)]
    return rows
