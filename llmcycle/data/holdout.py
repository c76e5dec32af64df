"""Validation rows where a data set comes without them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256

from llmcycle.data.encode import Row

SAME = ("prompt", "text")  # rows that agree in this column belong to the same side


def hold_out(rows: Sequence[Row], count: int) -> tuple[list[Row], list[Row]]:
    """Split off at least `count` rows by the hash of their content: the same ones wherever they stand in the file.

    Rows with the same prompt (or text) stay together, so that none is trained on and scored on.

    Raises:
        ValueError: nothing would be left to train on.
    """
    keys = [_digest(row) for row in rows]
    chosen: set[str] = set()
    held = 0
    for key in sorted(keys):
        if held >= count and key not in chosen:
            break
        chosen.add(key)
        held += 1
    if count and held == len(rows):
        raise ValueError(f"data.holdout={count}: {len(rows)} rows leave nothing to train on; lower it")
    parts: dict[bool, list[Row]] = {False: [], True: []}
    for key, row in zip(keys, rows, strict=True):
        parts[key in chosen].append(row)
    return parts[False], parts[True]


def _digest(row: Row) -> str:
    content = next((row[name] for name in SAME if name in row), row)
    return sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
