"""What becomes of an example that is longer than a row may be: never cut without being told to."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_lightning.utilities import rank_zero_only
from rapidfuzz import process

from llmcycle.data.chat import IGNORE

Example = dict[str, Any]
# TRL's names for the two ways to cut (`SFTConfig.truncation_mode`): the end goes, or the beginning.
WAYS = ("error", "drop", "keep_start", "keep_end")


def check_truncation(truncation: str) -> str:
    """The way itself.

    Raises:
        ValueError: there is no such way; the nearest is named.
    """
    if truncation not in WAYS:
        near = process.extractOne(truncation, WAYS, score_cutoff=50)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"encode.truncation={truncation}: it is none of {', '.join(WAYS)}{hint}")
    return truncation


def truncate(examples: Sequence[Example], max_length: int, truncation: str) -> list[Example]:
    """Examples, or pairs of them, of at most `max_length` tokens.

    "error" leaves longer ones for the audit to refuse, "drop" leaves them out. A cut one says by `cut` how many tokens
    it lost, and by `cut_labels` how many of those were to be learnt.
    """
    if truncation == "error":
        return list(examples)
    if truncation == "drop":
        return [example for example in examples if max(len(part["input_ids"]) for part in parts(example)) <= max_length]
    for part in (part for example in examples for part in parts(example)):
        _cut(part, max_length, truncation)
    return list(examples)


def parts(example: Example) -> tuple[Example, ...]:
    """The sequences of an example: itself, or the two of a pair."""
    return (example["chosen"], example["rejected"]) if "chosen" in example else (example,)


def truncation_counts(
    rows: Mapping[str, Sequence[Any]], examples: Mapping[str, Sequence[Example]], truncation: str
) -> dict[str, int]:
    """What truncation took of each split: `SPLIT_rows_dropped`, `SPLIT_rows_cut` and `SPLIT_tokens_cut`, but no 0.

    Raises:
        ValueError: it took all rows of a split.
    """
    counts: dict[str, int] = {}
    for split, encoded in examples.items():
        if rows[split] and not encoded:
            raise ValueError(
                f"encode.truncation={truncation}: it leaves none of the {len(rows[split])} {split} rows, since all are "
                "longer than `encode.max_length`; raise that"
            )
        cut = [sum(part.get("cut", 0) for part in parts(example)) for example in encoded]
        counts[f"{split}_rows_dropped"] = len(rows[split]) - len(encoded) if truncation == "drop" else 0
        counts |= {f"{split}_rows_cut": sum(lost > 0 for lost in cut), f"{split}_tokens_cut": sum(cut)}
    return {name: count for name, count in counts.items() if count}


@rank_zero_only
def tell(counts: Mapping[str, int]) -> None:
    """Say what truncation took, once for all processes."""
    if counts:
        told = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())
        print(f"data: by encode.truncation, {told}", file=sys.stderr)


def _cut(part: Example, max_length: int, truncation: str) -> None:
    length = len(part["input_ids"])
    if length <= max_length:
        return
    span = slice(max_length) if truncation == "keep_start" else slice(length - max_length, None)
    before = _labelled(part)
    for name in ("input_ids", "attention_mask", "labels"):
        if name in part:
            part[name] = part[name][span]
    part["cut"], part["cut_labels"] = length - max_length, before - _labelled(part)


def _labelled(part: Example) -> int:
    labels: list[int] = part.get("labels", [])
    return len(labels) - labels.count(IGNORE)
