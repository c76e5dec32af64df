"""CSV and TSV by Python's `csv`: every cell is the text that stands there."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any

from llmcycle.data.read.formats import text_of

LONGEST = 2**31 - 1  # characters of a cell; the library's own limit is 131,072
# In TSV a quotation mark is a character like any other (https://www.iana.org/assignments/media-types/text/tab-separated-values).
DIALECTS: dict[str, dict[str, Any]] = {
    "csv": {"strict": True},
    "tsv": {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "strict": True},
}


def rows(path: str, dialect: str) -> Iterator[dict[str, str]]:
    """A mapping a row, from the names in the first line that is not blank; blank lines are no rows.

    Raises:
        ValueError: a row has more or fewer fields than the first line, two columns have one name, or a quotation does
            not end; the row is named.
    """
    csv.field_size_limit(LONGEST)
    with text_of(path) as file:
        reader = csv.reader(file, **DIALECTS[dialect])
        lines = filter(None, _checked(reader))
        names = next(lines, None)
        if names is None:
            return
        refuse_double(names)
        for number, fields in enumerate(lines):
            if len(fields) != len(names):
                raise ValueError(
                    f"row {number} (counted from 0, line {reader.line_num}) has {len(fields)} fields, and the first "
                    f"line names {len(names)} columns{_hint(dialect, fields, names)}"
                )
            yield dict(zip(names, fields, strict=True))


def refuse_double(names: Sequence[str]) -> None:
    """ValueError where a name stands twice, so that one column would hide another."""
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two columns are named `{double[0]}`: name them apart")


def _hint(dialect: str, fields: Sequence[str], names: Sequence[str]) -> str:
    if dialect == "csv" and len(fields) > len(names):
        return ': a text with a comma in it stands in quotation marks, as in "Paris, of course"'
    return ""


def _checked(reader: Any) -> Iterator[list[str]]:
    """The reader's rows; its own complaints name the line."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"the row that ends in line {reader.line_num}: {error}") from error
