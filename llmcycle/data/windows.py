"""Text as one stream of tokens, cut into windows that know nothing of where documents begin: nanoGPT's batches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from llmcycle.data.chat import IGNORE, encode_document
from llmcycle.data.encode import Columns, Example, Row
from llmcycle.data.padding import pad
from llmcycle.data.read import first_row, read_files
from llmcycle.quantities import Count, Length, Share


class Windows:
    """Rows {"text"}, one after the other in a stream of which each window of `max_length` tokens is an example.

    All tokens of a window but its first are predicted, so that a context of n tokens takes windows of n + 1.

    Args:
        stride: tokens from the beginning of a window to that of the next; below `max_length` they overlap.
    """

    gives: ClassVar[str] = "packed"
    rows_need: ClassVar[Columns] = (("text",),)

    def __init__(self, max_length: Length, stride: Count) -> None:
        if not 0 < stride < max_length:
            raise ValueError(f"encode.stride={stride}: from 1 to encode.max_length - 1, or tokens would be left out")
        self.max_length, self.stride = max_length, stride

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a window: `input_ids`, `labels`, `index`; the last one ends with the stream."""
        stream = [token for row in rows for token in encode_document(tokenizer, row["text"])]
        last = max(0, len(stream) - self.max_length)
        windows = [stream[start : start + self.max_length] for start in [*range(0, last, self.stride), last]]
        return [{"input_ids": ids, "labels": ids, "index": index} for index, ids in enumerate(windows)]

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        """`input_ids`, `labels`: (B, T)."""
        return {
            "input_ids": pad([e["input_ids"] for e in examples], pad_token_id),
            "labels": pad([e["labels"] for e in examples], IGNORE),
        }


class Contiguous:
    """Text files as one document, its last part for validation.

    Args:
        train: a text file, or a folder of them.
        validation_share: of the characters, the last ones.
    """

    rows_have: ClassVar[tuple[str, ...]] = ("text",)
    validation_rows: ClassVar[int] = 1

    def __init__(self, train: str, validation_share: Share = 0.1) -> None:
        if not 0 < validation_share < 1:
            raise ValueError(f"data.validation_share={validation_share}: a share between 0 and 1 is needed, as 0.1")
        self.source, self.validation_share = train, validation_share

    @staticmethod
    def preflight(**arguments: Any) -> None:
        """Refuse, before anything runs, a file that is missing or empty."""
        if first_row(arguments["train"], "data.train", "document") is None:
            raise ValueError(f"data.train: {arguments['train']} holds no text")

    @property
    def train(self) -> list[Row]:
        """One row."""
        return self._parts[:1]

    @property
    def validation(self) -> list[Row]:
        """One row."""
        return self._parts[1:]

    @cached_property
    def _parts(self) -> list[Row]:
        text = "".join(row["text"] for row in read_files(self.source, "data.train", "document"))
        cut = int(len(text) * (1 - self.validation_share))
        return [{"text": text[:cut]}, {"text": text[cut:]}]
