"""Parquet by `pyarrow`, and what Arrow adds to rows taken away again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 256  # rows decoded at once


def rows(path: str) -> Iterator[dict[str, Any]]:
    """The rows of a file.

    Raises:
        ValueError: it is no Parquet file.
    """
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH):
                yield from map(without_padding, batch.to_pylist())
    except pa.ArrowInvalid as error:
        raise ValueError(str(error)) from error


def without_padding(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose nested mappings have only the keys that say something.

    Arrow gives all mappings of a column the keys of all others, as null: the arguments of one tool would be those of
    every other. Columns themselves stay.
    """
    return {name: _cut(value) for name, value in row.items()}


def _cut(value: object) -> Any:
    if isinstance(value, dict):
        return {key: _cut(item) for key, item in value.items() if item is not None}
    return [_cut(item) for item in value] if isinstance(value, list) else value
