"""The one way to put rows of several lengths through a model: longest first, padded, each result in its row's place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from llmcycle.data.padding import pad

Row = TypeVar("Row")
Result = TypeVar("Result")


def in_batches(
    rows: Sequence[Row],
    compute: Callable[[list[Row]], Sequence[Result]],
    length: Callable[[Row], int],
    batch_size: int,
    max_tokens: int | None = None,
    ragged: bool = True,
) -> list[Result]:
    """`compute` of every row, in the order of `rows`, a batch at a time; see `batches`."""
    results: dict[int, Result] = {}
    for places in batches([length(row) for row in rows], batch_size, max_tokens, ragged):
        results.update(zip(places, compute([rows[place] for place in places]), strict=True))
    return [results[place] for place in range(len(rows))]


def batches(
    lengths: Sequence[int], batch_size: int, max_tokens: int | None = None, ragged: bool = True
) -> Iterator[list[int]]:
    """Places of the rows of each batch.

    Longest first, so that rows of like length share a batch and little is padding, and so that the batch that needs the
    most memory fails at once, not at the end. Rows of one length keep their order.

    Args:
        batch_size: rows at once.
        max_tokens: padding included; a single row may be longer.
        ragged: whether rows of different lengths may share a batch.
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    while order:
        longest = lengths[order[0]]
        count = batch_size if max_tokens is None else min(batch_size, max_tokens // max(longest, 1))
        if not ragged:
            count = min(count, sum(lengths[place] == longest for place in order))
        count = max(1, count)
        yield order[:count]
        order = order[count:]


def padded(
    rows: Sequence[Sequence[int]], value: int, device: torch.device | str = "cpu", left: bool = False
) -> dict[str, Tensor]:
    """input_ids and attention_mask [B, T], filled up with `value` and 0 to the longest row."""
    return {
        "input_ids": pad(rows, value, left).to(device),
        "attention_mask": pad([[1] * len(row) for row in rows], 0, left).to(device),
    }
