"""Columns of a data set to the names that encoders and evaluators read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from string import Formatter
from typing import Any

from rapidfuzz import process

from llmcycle.data.encode import Row

TEXTS = ("text", "prompt", "completion", "chosen", "rejected", "answer")
Wanted = str | Sequence[str]
Columns = Mapping[str, Wanted | None]


def map_columns(rows: Sequence[Row], columns: Columns, source: str) -> list[Row]:
    """Add columns under new names: `{"prompt": "question", "choices": ["a", "b"], "text": "{title}: {body}"}`.

    Names mapped to None are skipped, and columns that are not mapped stay.

    Raises:
        ValueError: a column that the first row does not have, with the nearest that it has; or a text without a value.
    """
    mapped = {new: wanted for new, wanted in columns.items() if wanted is not None}
    for new, wanted in mapped.items():
        for name in _needed(wanted):
            if name not in rows[0]:
                raise ValueError(f"data.columns.{new}: {source} has no column `{name}`{_hint(name, rows[0])}")
    return [_written(row, {n: _value(row, w, n, index) for n, w in mapped.items()}) for index, row in enumerate(rows)]


def _written(row: Row, mapped: Row) -> Row:
    """Numbers in columns that hold text become text: a CSV file does not say which they are."""
    whole = {**row, **mapped}
    return {n: str(v) if n in TEXTS and isinstance(v, int | float) else v for n, v in whole.items()}


def _needed(wanted: Wanted) -> list[str]:
    if not isinstance(wanted, str):
        return list(wanted)
    return [name for _, name, _, _ in Formatter().parse(wanted) if name] if "{" in wanted else [wanted]


def _value(row: Row, wanted: Wanted, new: str, index: int) -> Any:
    values = {name: row.get(name) for name in _needed(wanted)}
    for name, value in values.items():
        if value is None and (new in TEXTS or len(values) > 1):
            raise ValueError(f"data.columns.{new}: row {index} (counted from 0) has no value in column `{name}`")
    if not isinstance(wanted, str):
        return list(values.values())
    return wanted.format(**values) if "{" in wanted else values[wanted]


def _hint(name: str, existing: Iterable[str]) -> str:
    names = list(existing)
    near = process.extractOne(name, names, score_cutoff=60)
    return f"{f'; did you mean `{near[0]}`?' if near else ''} (it has {', '.join(names)})"
