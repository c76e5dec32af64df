"""Encoders: rows to token sequences, and token sequences to padded batches. Shapes: B batch, T tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from llmcycle.data.chat import IGNORE, Message, Prompt, Tools, encode_prompt, encode_prompt_completion
from llmcycle.data.packing import collate_packed, pack
from llmcycle.data.padding import pad
from llmcycle.data.tokenise import encode_documents
from llmcycle.data.truncation import check_truncation, truncate
from llmcycle.quantities import Length

Row = dict[str, Any]
Example = dict[str, Any]  # lists of token ids, `index` (the row's place), and per encoder the names below
Columns = tuple[tuple[str, ...], ...]  # sets of columns, of which rows must have one


class Encoder(Protocol):
    """What `Batches` needs: rows to examples of at most `max_length` tokens, examples to one batch of tensors.

    Class attributes, which `check` reads where there are any:
        gives: the kind of batch, as in an objective's `reads`: "labelled", "packed", "masked", "pairs", "unpaired",
            "prompts", "rated" or "steps".
        rows_need: columns that rows must have.
    """

    max_length: int

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]: ...
    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]: ...


class Exchange(NamedTuple):
    """What a row asks of the model, in the row's own words: the audit holds the tokens against it.

    Args:
        prompt: what comes first; [] where the answers stand in one list with it.
        answer: what is learnt; None where nothing is.
        tools: functions that the assistant may call.
        every_turn: whether the assistant's turns in `prompt` are learnt too.
    """

    prompt: Prompt
    answer: str | Sequence[Message] | None
    tools: Tools = None
    every_turn: bool = False


def column(row: Row, *names: str) -> list[Any]:
    """The values of columns that an encoder needs.

    Raises:
        ValueError: the row lacks one.
    """
    for name in names:
        if name in row and row[name] is None:
            raise ValueError(f"its `{name}` is null (nothing is written there): write it, or take the row out")
        if name not in row:
            raise ValueError(
                f"it has no `{name}`; it has {', '.join(row)}. This recipe's encoder needs {', '.join(names)}. "
                f"Map a column, as in `data.columns.{name}=NAME`"
            )
    return [row[name] for name in names]


def each(rows: Sequence[Row], encode: Callable[[Row], Example]) -> list[Example]:
    """One example a row, with its `index`; an error names the row."""
    examples: list[Example] = []
    for index, row in enumerate(rows):
        try:
            examples.append({**encode(row), "index": index})
        except ValueError as error:
            raise ValueError(f"data: row {index} (from 0): {error}") from error
    return examples


def supervised_batch(examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
    """`input_ids`, `attention_mask`, `labels`: (B, T), padded on the right."""
    return {
        "input_ids": pad([e["input_ids"] for e in examples], pad_token_id),
        "attention_mask": pad([[1] * len(e["input_ids"]) for e in examples], 0),
        "labels": pad([e["labels"] for e in examples], IGNORE),
    }


class Completion:
    """Rows {"prompt", "completion"}, perhaps "tools": the loss falls on the completion only.

    Args:
        max_length: tokens.
        truncation: what becomes of longer rows, as in `llmcycle.data.truncation`.
    """

    gives: ClassVar[str] = "labelled"
    rows_need: ClassVar[Columns] = (("prompt", "completion"),)

    def __init__(self, max_length: Length, truncation: str = "error") -> None:
        self.max_length, self.truncation = max_length, check_truncation(truncation)

    def exchanges(self, row: Row) -> list[Exchange]:
        """What the row's one sequence teaches."""
        return [Exchange(row["prompt"], row["completion"], row.get("tools"))]

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a row: `input_ids`, `attention_mask`, `labels`, `index`."""

        def encoded(row: Row) -> Example:
            prompt, completion = column(row, "prompt", "completion")
            return encode_prompt_completion(tokenizer, prompt, completion, tools=row.get("tools"))

        return truncate(each(rows, encoded), self.max_length, self.truncation)

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`, `labels`: (B, T), padded on the right."""
        return supervised_batch(examples, pad_token_id)


class Preference:
    """Rows {"prompt", "chosen", "rejected"}, each answer encoded after its prompt as `Completion` does."""

    gives: ClassVar[str] = "pairs"
    rows_need: ClassVar[Columns] = (("prompt", "chosen", "rejected"),)

    def __init__(self, max_length: Length, truncation: str = "error") -> None:
        self.max_length, self.truncation = max_length, check_truncation(truncation)

    def exchanges(self, row: Row) -> list[Exchange]:
        """What the row's two sequences teach."""
        return [Exchange(row["prompt"], row[side], row.get("tools")) for side in ("chosen", "rejected")]

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a row: `chosen` and `rejected`, each `input_ids`, `attention_mask`, `labels`; `index`."""

        def encoded(row: Row) -> Example:
            prompt, *answers = column(row, "prompt", "chosen", "rejected")
            pair = (encode_prompt_completion(tokenizer, prompt, answer, tools=row.get("tools")) for answer in answers)
            return dict(zip(("chosen", "rejected"), pair, strict=True))

        return truncate(each(rows, encoded), self.max_length, self.truncation)

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`, `labels`: (2B, T), the B chosen answers first, then the B rejected ones."""
        return supervised_batch([e[side] for side in ("chosen", "rejected") for e in examples], pad_token_id)


class Prompts:
    """Rows {"prompt", ...}, to generate from. Cut by "keep_end", a longer prompt keeps the question at its end."""

    gives: ClassVar[str] = "prompts"
    rows_need: ClassVar[Columns] = (("prompt",),)

    def __init__(self, max_length: Length, truncation: str = "error") -> None:
        self.max_length, self.truncation = max_length, check_truncation(truncation)

    def exchanges(self, row: Row) -> list[Exchange]:
        """What the row's one sequence says; it teaches nothing by itself."""
        return [Exchange(row["prompt"], None, row.get("tools"))]

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a row: `input_ids`, `index`."""

        def encoded(row: Row) -> Example:
            return {"input_ids": encode_prompt(tokenizer, column(row, "prompt")[0], row.get("tools"))}

        return truncate(each(rows, encoded), self.max_length, self.truncation)

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`: (B, T), padded on the left; `index`: (B,), places in `rows.train`."""
        return {
            "input_ids": pad([e["input_ids"] for e in examples], pad_token_id, left=True),
            "attention_mask": pad([[1] * len(e["input_ids"]) for e in examples], 0, left=True),
            "index": torch.tensor([e["index"] for e in examples], dtype=torch.long),
        }


class Packed:
    """Rows {"text"}: whole documents packed into rows of `max_length` tokens, for next-token training.

    Best-fit decreasing (arXiv:2404.10830, TRL's "bfd_split"): a document longer than a row is cut into pieces, and each
    document or piece goes into the row that it fills best. No token is lost. `position_ids` start again at each piece;
    by them transformers' causal masks keep documents apart (with `use_cache=False` only), so that each is learnt from
    its start, as it is scored.
    """

    gives: ClassVar[str] = "packed"
    rows_need: ClassVar[Columns] = (("text",),)

    def __init__(self, max_length: Length) -> None:
        self.max_length = max_length

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a packed row: `input_ids`, `labels` (-100 on each piece's first token), `position_ids`."""
        texts = [document["text"] for document in each(rows, lambda row: {"text": column(row, "text")[0]})]
        documents = encode_documents(tokenizer, texts)
        pieces = [piece for document in documents for piece in split(document, self.max_length)]
        return pack([{"input_ids": piece, "labels": piece} for piece in pieces], self.max_length)

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        """`input_ids`, `labels`, `position_ids`: (B, T), padded on the right; padding counts as one more document."""
        return collate_packed(examples, pad_token_id)


def split(ids: list[int], max_length: int) -> list[list[int]]:
    """Pieces of at most `max_length`; each later one repeats the token before it, so that every token is predicted."""
    if len(ids) <= max_length:
        return [ids]
    return [ids[i : i + max_length] for i in range(0, len(ids) - 1, max_length - 1)]
