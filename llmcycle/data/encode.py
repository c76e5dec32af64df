"""Encoders: rows to token sequences, and token sequences to padded batches. Shapes: B batch, T tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from llmcycle.data.chat import IGNORE, encode_prompt, encode_prompt_completion
from llmcycle.data.packing import collate_packed, pack
from llmcycle.data.padding import pad
from llmcycle.data.tokenise import encode_documents

Row = dict[str, Any]
Example = dict[str, Any]  # lists of token ids, `index` (the row's place), and per encoder the names below


class Encoder(Protocol):
    """What `Batches` needs: rows to examples of at most `max_length` tokens, examples to one batch of tensors."""

    max_length: int

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]: ...
    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]: ...


def _column(rows: Sequence[Row], index: int, *names: str) -> list[Any]:
    row = rows[index]
    for name in names:
        if row.get(name) is None:
            raise ValueError(
                f"data.columns: this recipe's encoder needs {', '.join(names)}, but row {index} (from 0) has no "
                f"`{name}`; it has {', '.join(row)}. Map a column, as in `data.columns.{name}=NAME`"
            )
    return [row[name] for name in names]


def _supervised_batch(examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
    return {
        "input_ids": pad([e["input_ids"] for e in examples], pad_token_id),
        "attention_mask": pad([[1] * len(e["input_ids"]) for e in examples], 0),
        "labels": pad([e["labels"] for e in examples], IGNORE),
    }


class Completion:
    """Rows {"prompt", "completion"}: the loss falls on the completion only. Longer rows are cut at the end."""

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a row: `input_ids`, `attention_mask`, `labels`, `index`."""
        pairs = (_column(rows, i, "prompt", "completion") for i in range(len(rows)))
        return [
            {**encode_prompt_completion(tokenizer, prompt, completion, self.max_length), "index": i}
            for i, (prompt, completion) in enumerate(pairs)
        ]

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`, `labels`: (B, T), padded on the right."""
        return _supervised_batch(examples, pad_token_id)


class Preference:
    """Rows {"prompt", "chosen", "rejected"}, each answer encoded after its prompt as `Completion` does."""

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a row: `chosen` and `rejected`, each `input_ids`, `attention_mask`, `labels`; `index`."""
        examples: list[Example] = []
        for i in range(len(rows)):
            prompt, *answers = _column(rows, i, "prompt", "chosen", "rejected")
            chosen, rejected = (encode_prompt_completion(tokenizer, prompt, a, self.max_length) for a in answers)
            examples.append({"chosen": chosen, "rejected": rejected, "index": i})
        return examples

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`, `labels`: (2B, T), the B chosen answers first, then the B rejected ones."""
        return _supervised_batch([e[side] for side in ("chosen", "rejected") for e in examples], pad_token_id)


class Prompts:
    """Rows {"prompt", ...}, to generate from. Longer prompts lose their beginning, never the question at their end."""

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a row: `input_ids`, `index`."""
        prompts = (_column(rows, i, "prompt")[0] for i in range(len(rows)))
        return [
            {"input_ids": encode_prompt(tokenizer, p)[-self.max_length :], "index": i} for i, p in enumerate(prompts)
        ]

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

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        """One example a packed row: `input_ids`, `labels` (-100 on each piece's first token), `position_ids`."""
        documents = encode_documents(tokenizer, [_column(rows, i, "text")[0] for i in range(len(rows))])
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
