"""Which reader a file's name asks for, and its bytes as text."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import fsspec

Unit = Literal["document", "paragraph", "line"] | int

FORMATS = {
    **dict.fromkeys((".txt", ".md"), "text"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "json"),
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
PACKED = (".gz", ".bz2", ".xz", ".zst")
MARK = "\ufeff"  # a byte-order mark: no part of the text


def kind(path: str) -> str | None:
    """The format of a file of this name: text, json, csv, tsv or parquet; None for an ending that is not known."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    plain = [suffix for suffix in suffixes if suffix not in PACKED]
    return FORMATS.get(plain[-1]) if plain else None


@contextmanager
def text_of(path: str) -> Iterator[IO[str]]:
    """A file's text in UTF-8, unpacked, without a byte-order mark; line ends stay as they are.

    Raises:
        ValueError: it is packed in a way that nothing installed here unpacks.
    """
    refuse_packed(path)
    with fsspec.open(path, "rt", compression="infer", encoding="utf-8-sig", newline="") as file:
        yield file


def refuse_packed(path: str) -> None:
    """ValueError where a package is missing that unpacks a file of this name."""
    if path.lower().endswith(".zst") and importlib.util.find_spec("zstandard") is None:
        raise ValueError("it is packed by Zstandard, which needs the package zstandard: pip install zstandard")
