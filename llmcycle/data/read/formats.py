"""Which reader a file's name asks for, and its bytes as text."""

from __future__ import annotations

import codecs
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import fsspec
import pyarrow as pa

Unit = Literal["document", "paragraph", "line"] | int

FORMATS = {
    **dict.fromkeys((".txt", ".md"), "text"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "json"),
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
PACKED = (".gz", ".bz2", ".xz", ".zst")
PEEK = 1024  # bytes of the start


def kind(path: str) -> str | None:
    """The format of a file of this name: text, json, csv, tsv or parquet; None for an ending that is not known."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    plain = [suffix for suffix in suffixes if suffix not in PACKED]
    return FORMATS.get(plain[-1]) if plain else None


@contextmanager
def text_of(path: str) -> Iterator[IO[str]]:
    """A file's text in UTF-8, unpacked, without a byte-order mark; line ends stay as they are.

    Raises:
        ValueError: it is packed and broken, or its characters are two bytes wide.
    """
    try:
        with bytes_of(path) as packed:
            file = io.BufferedReader(packed) if isinstance(packed, io.RawIOBase) else packed
            refuse_wide(file.peek(PEEK)[:PEEK], path)
            yield io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    except (zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"it is broken: {error}") from error


def bytes_of(path: str) -> Any:
    """A file unpacked, to be read. Arrow unpacks Zstandard to the end, over all its frames, and says if one is cut."""
    if path.lower().endswith(".zst"):
        return Unpacked(pa.CompressedInputStream(pa.OSFile(path), "zstd"))
    return fsspec.open(path, "rb", compression="infer")


class Unpacked(io.RawIOBase):
    """A stream of Arrow as one of Python."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def refuse_wide(start: bytes, path: str) -> None:
    """ValueError for UTF-16 and UTF-32, with a mark or without: as UTF-8 each letter would have zeros beside it."""
    if start.count(0) * 3 > len(start):
        code = "UTF-32" if start.count(0) * 3 > 2 * len(start) else "UTF-16"
        marked = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
        order = "" if marked else "BE" if start[0] == 0 else "LE"
        raise ValueError(f"it is no UTF-8; convert it: iconv -f {code}{order} -t UTF-8 {path}")
