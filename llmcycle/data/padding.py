"""Sequences of several lengths to one tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pad(sequences: Sequence[Sequence[int]], value: int, left: bool = False) -> Tensor:
    """(B, T) int64: every sequence filled up with `value` to the longest one."""
    longest = max(len(s) for s in sequences)
    fill = [[value] * (longest - len(s)) for s in sequences]
    rows = [f + list(s) if left else list(s) + f for s, f in zip(sequences, fill, strict=True)]
    return torch.tensor(rows, dtype=torch.long)
