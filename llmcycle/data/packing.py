"""Packing: sequences of several lengths into rows of one, so that little of a batch is padding. B rows, T tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from llmcycle.data.chat import IGNORE
from llmcycle.data.padding import pad

Example = dict[str, Any]


def best_fit(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Best-fit decreasing: the longest first, each into the fullest row that still has room for it.

    Args:
        lengths: tokens of each sequence, at most `room`.
        room: tokens of a row.

    Returns:
        The places of the sequences in each row, in an order that depends on nothing but the lengths.

    Raises:
        ValueError: a sequence is longer than a row.
    """
    if (longest := max(lengths, default=0)) > room:
        raise ValueError(
            f"batches.pack: a row of {longest} tokens fits into none of encode.max_length={room}; raise it, or set "
            "encode.truncation=drop"
        )
    by_room: list[list[list[int]]] = [[] for _ in range(room + 1)]
    for place in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        length = lengths[place]
        left = next((r for r in range(length, room + 1) if by_room[r]), room)
        row = by_room[left].pop() if by_room[left] else []
        row.append(place)
        by_room[left - length].append(row)
    return [row for rows in by_room for row in rows]


def pack(examples: Sequence[Example], max_length: int) -> list[Example]:
    """Labelled examples in rows of at most `max_length` tokens, by best-fit decreasing; none is cut.

    Returns:
        One example a row: `input_ids`, `labels` (-100 on the first token of each piece, which nothing predicts),
        `position_ids` (from 0 in each piece) and `index`, the row's place.

    Raises:
        ValueError: the examples have no labels of their own, as pairs and prompts have not.
    """
    if any("labels" not in example for example in examples[:1]):
        raise ValueError(
            "batches.pack: only rows with one answer each can be packed, not pairs or bare prompts; "
            "set batches.pack=false"
        )
    bins = best_fit([len(example["input_ids"]) for example in examples], max_length)
    return [{**_join([examples[place] for place in row]), "index": index} for index, row in enumerate(bins)]


def _join(pieces: Sequence[Example]) -> Example:
    return {
        "input_ids": [i for piece in pieces for i in piece["input_ids"]],
        "labels": [label for piece in pieces for label in (IGNORE, *piece["labels"][1:])],
        "position_ids": [place for piece in pieces for place in range(len(piece["input_ids"]))],
    }


def collate_packed(examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
    """`input_ids`, `labels`, `position_ids`: (B, T), padded on the right; padding counts as one more document."""
    longest = max(len(example["input_ids"]) for example in examples)
    positions = [[*e["position_ids"], *range(longest - len(e["position_ids"]))] for e in examples]
    return {
        "input_ids": pad([e["input_ids"] for e in examples], pad_token_id),
        "labels": pad([e["labels"] for e in examples], IGNORE),
        "position_ids": torch.tensor(positions, dtype=torch.long),
    }


def apart(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The pieces of a packed batch as a padded one, a piece a row: `input_ids`, `attention_mask`, `labels` (P, T).

    Padding of the packed rows becomes rows without a label.
    """
    ids, labels, starts = (batch[name].flatten() for name in ("input_ids", "labels", "position_ids"))
    sizes = torch.diff((starts == 0).nonzero().flatten(), append=torch.tensor([len(starts)])).tolist()
    pieces = [part.tolist() for part in torch.split(ids, sizes)]
    return {
        "input_ids": pad(pieces, 0),
        "attention_mask": pad([[1] * size for size in sizes], 0),
        "labels": pad([part.tolist() for part in torch.split(labels, sizes)], IGNORE),
    }


def fill(examples: Sequence[Example], max_length: int) -> float:
    """The share of the rows' room that tokens fill."""
    return sum(len(example["input_ids"]) for example in examples) / (max_length * len(examples))
