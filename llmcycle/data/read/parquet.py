"""Parquet by `pyarrow`, and what Arrow adds to rows taken away again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llmcycle.data.read.delimited import refuse_double

BATCH = 256  # rows decoded at once


def rows(path: str) -> Iterator[dict[str, Any]]:
    """The rows of a file; maps are mappings.

    Raises:
        ValueError: it is no Parquet file, is broken, has two columns of one name, or a text in it is no UTF-8.
    """
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            refuse_double(file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=BATCH):
                yield from map(without_padding, decoded(batch, number))
                number += len(batch)
    except (pa.ArrowException, KeyError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def decoded(batch: pa.RecordBatch, first: int) -> list[dict[str, Any]]:
    """The rows of a batch whose first one has the number `first`; ValueError names one with a text that is no UTF-8."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist(maps_as_pydicts="strict")
    except UnicodeDecodeError as error:
        if len(batch) == 1:
            raise ValueError(f"row {first} (counted from 0) has a text that is no UTF-8: byte {error.start}") from error
        return [row for at in range(len(batch)) for row in decoded(batch.slice(at, 1), first + at)]
    return rows


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
