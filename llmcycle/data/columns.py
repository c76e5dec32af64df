"""Columns of a data set to the names that encoders and evaluators read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from string import Formatter
from typing import Any

from rapidfuzz import process

from llmcycle.data.encode import Row

TEXTS = ("text", "prompt", "completion", "chosen", "rejected", "answer")
KINDS: dict[type, str] = {dict: "a mapping", list: "a list of other things", bytes: "bytes"}
Wanted = str | int | Sequence[str | int]
Columns = Mapping[str, Wanted | None]


def map_columns(rows: Sequence[Row], columns: Columns, source: str) -> list[Row]:
    """Add columns under new names: `{"prompt": "question", "choices": ["a", "b"], "text": "{title}: {body}"}`.

    Names mapped to None are skipped, and columns that are not mapped stay. A column may be named by a number (0), or
    have a dot in its name (`{meta.title}`).

    Raises:
        ValueError: a column that the first row does not have, with the nearest that it has; a text without a value; or
            a text whose braces do not close.
    """
    mapped = {new: _as_written(wanted) for new, wanted in columns.items() if wanted is not None}
    for new, wanted in mapped.items():
        for name in _needed(wanted, new):
            if name not in rows[0]:
                raise ValueError(f"data.columns.{new}: {source} has no column `{name}`{_hint(name, new, rows[0])}")
    return [_written(row, {n: _value(row, w, n, index) for n, w in mapped.items()}) for index, row in enumerate(rows)]


def refuse_no_texts(rows: Sequence[Row], key: str) -> None:
    """ValueError for a value that is neither a text nor, but for `text`, a conversation where one is needed."""
    for index, row in enumerate(rows):
        for name in TEXTS:
            value = row.get(name)
            if value is not None and not isinstance(value, str) and (name == "text" or not _is_chat(value)):
                wanted = "a text" if name == "text" else "a text or a list of messages"
                kind = KINDS.get(type(value), f"of type {type(value).__name__}")
                raise ValueError(
                    f"{key}: row {index} (counted from 0): its `{name}` is {kind}, and {wanted} is needed: "
                    f"name another column by data.columns.{name}=COLUMN, or write each text in a row of its own"
                )


def _is_chat(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _as_written(wanted: Wanted) -> str | list[str]:
    """Names as text: YAML reads `0` as a number."""
    return str(wanted) if isinstance(wanted, str | int) else [str(name) for name in wanted]


def _written(row: Row, mapped: Row) -> Row:
    """Numbers, true and false in columns that hold text become the text that JSON has for them."""
    whole = {**row, **mapped}
    return {n: json.dumps(v) if n in TEXTS and isinstance(v, bool | int | float) else v for n, v in whole.items()}


def _needed(wanted: str | list[str], new: str) -> list[str]:
    if not isinstance(wanted, str):
        return wanted
    return [name for _, name in _parts(wanted, new) if name is not None] if "{" in wanted else [wanted]


def _parts(text: str, new: str) -> list[tuple[str, str | None]]:
    """(text before it, column) for each column that a text names in braces, and (text after the last one, None).

    A colon or an exclamation mark belongs to the column's name: nothing is formatted here.
    """
    try:
        pieces = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(
            f"data.columns.{new}: {text!r}: {error}; a column stands in braces, as in "
            f"'data.columns.{new}=\"{{title}}: {{body}}\"', and a brace that is text is written twice"
        ) from error
    parts = [(before, None if name is None else _whole(name, mark, spec)) for before, name, spec, mark in pieces]
    if any(name == "" for _, name in parts):
        raise ValueError(
            f"data.columns.{new}: {text!r} has braces without a column between them; name it, as in {{title}}"
        )
    return parts


def _whole(name: str, conversion: str | None, spec: str | None) -> str:
    """A column's name that `Formatter` has taken apart at an exclamation mark or a colon."""
    return name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")


def _value(row: Row, wanted: str | list[str], new: str, index: int) -> Any:
    values = {name: row.get(name) for name in _needed(wanted, new)}
    for name, value in values.items():
        if value is None and (new in TEXTS or len(values) > 1):
            raise ValueError(f"data.columns.{new}: row {index} (counted from 0) has no value in column `{name}`")
    if not isinstance(wanted, str):
        return list(values.values())
    if "{" not in wanted:
        return values[wanted]
    return "".join(before + ("" if name is None else _text(values[name])) for before, name in _parts(wanted, new))


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _hint(name: str, new: str, existing: Iterable[str]) -> str:
    names = list(existing)
    near = process.extractOne(name, names, score_cutoff=60)
    meant = f"; did you mean `{near[0]}`?" if near else ""
    return f"{meant} (it has {', '.join(names)})\n  try: data.columns.{new}={near[0] if near else names[0]}"
