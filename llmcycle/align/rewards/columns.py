"""What rewards read of the data's columns: see `llmcycle.evaluate.reward.Reward`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

OURS = ("completion_ids",)  # columns that the data does not have


def column(columns: Mapping[str, Sequence[Any]], name: str, key: str = "reward.column") -> Sequence[Any]:
    """A column of the data, one entry an answer.

    Args:
        key: the setting that names it.

    Raises:
        ValueError: the data has none of this name.
    """
    if name not in columns:
        known = ", ".join(name for name in columns if name not in OURS)
        raise ValueError(f"{key}: the data has no column {name}, only {known}; map one with data.columns.{name}=NAME")
    return columns[name]


def token_counts(columns: Mapping[str, Sequence[Any]]) -> list[int]:
    """Tokens of each answer, the one that ends it included.

    Raises:
        ValueError: the answers come without their tokens.
    """
    if "completion_ids" not in columns:
        raise ValueError("completion_ids: this reward counts an answer's tokens, and the answers came without them")
    return [len(ids) for ids in columns["completion_ids"]]
