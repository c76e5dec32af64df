"""JSON by Python's `json`: a list of rows, or a row a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import IO, Any

from llmcycle.data.read.formats import text_of

HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair: no text can hold it


def rows(path: str) -> Iterator[dict[str, Any]]:
    """The rows of a file: of one list, or of one mapping a line.

    Raises:
        ValueError: a row is not JSON, no mapping, or holds what no text can hold; it is named.
    """
    with text_of(path) as file:
        records = _lines(file)
        first = next(records, None)
        if first is None:
            return
        number, line = first
        whole = line.lstrip().startswith("[") or _goes_on(line)
        values = _of_list(line + "".join(file)) if whole else _of_lines(chain([(number, line)], records))
        for index, value in enumerate(values):
            yield checked(value, index)


def checked(value: object, index: int) -> dict[str, Any]:
    """A row as it is.

    Raises:
        ValueError: it is no mapping, or a text in it has half of a surrogate pair.
    """
    if not isinstance(value, dict):
        raise ValueError(f"row {index} (counted from 0) must be a mapping of columns, and is {json.dumps(value)[:60]}")
    for name, item in value.items():
        if HALF.search(json.dumps([name, item], ensure_ascii=False)):
            shown = json.dumps(name)[1:-1]
            raise ValueError(
                f"row {index} (counted from 0): `{shown}` holds half of a surrogate pair (\\ud800 to \\udfff), "
                "which is no character; take it out of the file"
            )
    return value


def _lines(file: IO[str]) -> Iterator[tuple[int, str]]:
    """Lines that hold something, with their numbers from 1."""
    return ((number, line) for number, line in enumerate(file, 1) if line.strip())


def _goes_on(line: str) -> bool:
    """Whether a mapping that begins in this line does not end in it, as in a file that is indented."""
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        return line.lstrip().startswith("{") and error.pos >= len(line.rstrip())
    except (ValueError, RecursionError):  # told with its row, when the row is read
        return False
    return False


def _of_list(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: this is not JSON: {error.msg}, at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"a value in the list can't be held: {error}") from error
    return value if isinstance(value, list) else [value]


def _of_lines(records: Iterator[tuple[int, str]]) -> Iterator[Any]:
    for index, (number, line) in enumerate(records):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            place = f"row {index} (counted from 0, line {number})"
            raise ValueError(f"{place} is not JSON: {error.msg}, at column {error.colno}") from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
            raise ValueError(f"row {index} (counted from 0, line {number}) can't be held: {error}") from error
