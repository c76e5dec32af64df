"""Plain text, cut into units."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from llmcycle.data.read.formats import Unit, text_of


def rows(path: str, unit: Unit) -> Iterator[dict[str, str]]:
    """{"text"} of every unit that is not blank: the file, its paragraphs, its lines, or so many characters at a time.

    A paragraph ends at a blank line. Line ends of Windows and of old Macs count as line ends, as in `datasets`.
    """
    with text_of(path) as file:
        if isinstance(unit, int):
            text = _unix(file.read())
            units: Iterator[str] = (text[start : start + unit] for start in range(0, len(text), unit))
        elif unit == "document":
            units = iter([_unix(file.read())])
        else:
            lines = (part for line in file for part in _unix(line).removesuffix("\n").split("\n"))
            units = lines if unit == "line" else _paragraphs(lines)
        yield from ({"text": text} for text in units if text.strip())


def _paragraphs(lines: Iterator[str]) -> Iterator[str]:
    return ("\n".join(group) for blank, group in groupby(lines, key=lambda line: not line) if not blank)


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
