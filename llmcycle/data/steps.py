"""Answers in steps, each of them right or wrong: what a process reward model learns. Shapes: B batch, T tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from llmcycle.data.chat import IGNORE, Prompt, encode_prompt, encode_text
from llmcycle.data.encode import Columns, Example, Exchange, Row, column, each
from llmcycle.data.padding import pad
from llmcycle.data.truncation import check_truncation, truncate
from llmcycle.quantities import Length

WHOLE = ("error", "drop")  # ways of truncation that cut no answer between its steps
LABELS = {"true": 1, "1": 1, "1.0": 1, "+": 1, "false": 0, "0": 0, "0.0": 0, "-": 0, "-1": 0}


class Steps:
    """Rows {"prompt", "steps", "labels"}: a list of texts, and for each of them whether it is right.

    Each step is read at its last token, that of the separator, as in TRL's trainer of process reward models and
    arXiv:2312.08935. A label is true or false, 1 or 0; -1, as PRM800K (arXiv:2305.20050) has it, is wrong as well.

    Args:
        max_length: tokens.
        separator: what ends a step.
        truncation: what becomes of longer rows: "error" or "drop".
    """

    gives: ClassVar[str] = "steps"
    rows_need: ClassVar[Columns] = (("prompt", "steps", "labels"),)

    @staticmethod
    def preflight(truncation: str = "error", **_: object) -> None:
        """Refuse, before anything is built, to cut an answer."""
        if check_truncation(truncation) not in WHOLE:
            raise ValueError(f"truncation: {truncation} cuts an answer between its steps\n  try: truncation=drop")

    def __init__(self, max_length: Length, separator: str = "\n", truncation: str = "error") -> None:
        self.preflight(truncation)
        self.max_length, self.separator, self.truncation = max_length, separator, truncation

    def exchanges(self, row: Row) -> list[Exchange]:
        """What the row's one sequence says; no token of it is learnt."""
        return [Exchange(row["prompt"], None)]

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a row: `input_ids`, `places` of the tokens that steps end with, `right` (0 or 1), `index`."""

        def encoded(row: Row) -> Example:
            prompt, steps, labels = column(row, "prompt", "steps", "labels")
            right = [label(each_label) for each_label in labels]
            if not steps or len(steps) != len(right):
                raise ValueError(f"it has {len(steps)} steps and {len(right)} labels; each step needs one")
            ids, places = encode_steps(tokenizer, prompt, steps, self.separator)
            return {"input_ids": ids, "places": places, "right": right}

        return truncate(each(rows, encoded), self.max_length, self.truncation)

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`, `step_labels` (0 or 1, -100 where no step ends): (B, T), padded right."""
        labels = [[IGNORE] * len(example["input_ids"]) for example in examples]
        for row, example in zip(labels, examples, strict=True):
            for place, right in zip(example["places"], example["right"], strict=True):
                row[place] = right
        return {
            "input_ids": pad([e["input_ids"] for e in examples], pad_token_id),
            "attention_mask": pad([[1] * len(e["input_ids"]) for e in examples], 0),
            "step_labels": pad(labels, IGNORE),
        }


def encode_steps(
    tokenizer: PreTrainedTokenizerBase, prompt: Prompt, steps: Sequence[str], separator: str
) -> tuple[list[int], list[int]]:
    """Token ids of a prompt and the steps after it, and the places of the tokens that the steps end with.

    Each step is tokenised apart, so that its place does not depend on what comes after it.

    Raises:
        ValueError: a step without a token, where nothing could be read.
    """
    ids, places = encode_prompt(tokenizer, prompt), list[int]()
    for step in steps:
        added = encode_text(tokenizer, step + separator)
        if not added:
            raise ValueError("steps: a step is empty, and so is `separator`; set encode.separator")
        ids = [*ids, *added]
        places.append(len(ids) - 1)
    return ids, places


def label(value: Any) -> int:
    """Whether a step is right, 1 or 0, as files spell it.

    Raises:
        ValueError: it says neither.
    """
    found = LABELS.get(str(value).strip().lower())
    if found is None:
        raise ValueError(f"a label is {value!r}, and true or false, or 1, 0 or -1, is needed")
    return found
