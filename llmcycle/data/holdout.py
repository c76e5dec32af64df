"""Validation rows where a data set comes without them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from hashlib import sha256

from llmcycle.data.encode import Row

SAME = ("prompt", "text")  # rows that agree in this column belong to the same side


def hold_out(rows: Sequence[Row], count: float) -> tuple[list[Row], list[Row]]:
    """Split off at least `count` rows by the hash of their content: the same ones wherever they stand in the file.

    Rows with the same prompt (or text) stay together, so that none is trained on and scored on.

    Args:
        count: rows; a number between 0 and 1 is a share of them.

    Raises:
        ValueError: nothing would be left to train on.
    """
    least = math.ceil(count * len(rows)) if 0 < count < 1 else int(count)
    keys = [_digest(row) for row in rows]
    chosen: set[str] = set()
    held = 0
    for key in sorted(keys):
        if held >= least and key not in chosen:
            break
        chosen.add(key)
        held += 1
    if count and held == len(rows):
        raise ValueError(f"data.holdout={count}: {_nothing_left(rows, len(set(keys)))}")
    parts: dict[bool, list[Row]] = {False: [], True: []}
    for key, row in zip(keys, rows, strict=True):
        parts[key in chosen].append(row)
    return parts[False], parts[True]


def _nothing_left(rows: Sequence[Row], distinct: int) -> str:
    if distinct == 1:
        column = next((name for name in SAME if name in rows[0]), "content")
        return (
            f"all {len(rows)} rows have the same {column}, and rows that are equal in it stay on one side, so none can "
            "be held out; give data.validation=FILE, or data.holdout=0 to score on nothing"
        )
    return f"{len(rows)} rows leave nothing to train on; lower it, e.g. data.holdout=0.1 for a tenth of them"


def _digest(row: Row) -> str:
    content = next((row[name] for name in SAME if name in row), row)
    return sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
