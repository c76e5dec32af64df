"""Pieces of a corpus that can be read on their own: byte ranges of text and JSON lines, row groups of Parquet, the
shards of a data set on the Hub, and whole files of every other kind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import fsspec
import pyarrow.parquet as pq

from llmcycle.data.corpus.source import Source
from llmcycle.data.encode import Row
from llmcycle.data.read import PACKED, iterate_file, kind, stream_hub

PIECES = 256  # into which a corpus is cut at least, where its files allow it, so that lanes have about equal shares
SMALLEST, LARGEST = 4_096, 1_048_576  # bytes of a piece
ROWS = 256  # of Parquet, decoded at once
BLANK = (b"\n", b"\r\n")


@dataclass(frozen=True, slots=True)
class Extent:
    """What stands in `path` between `start` and `stop`: bytes, row groups or shards; the whole file where stop is 0."""

    source: Source
    path: str
    start: int = 0
    stop: int = 0


def extents(sources: Sequence[Source]) -> list[Extent]:
    """The extents of all sources, in order. They depend on files and settings alone, not on who will read them."""
    files = [(source, file) for source in sources if source.local for file in source.files(where(source))]
    total = sum(Path(file).stat().st_size for _, file in files)
    size = min(max(total // PIECES, SMALLEST), LARGEST)
    hub = (extent for source in sources if not source.local for extent in _of_hub(source))
    return [*(extent for source, file in files for extent in _of_file(source, file, size)), *hub]


def where(source: Source) -> str:
    """Its key in the recipe."""
    return f"data.sources.{source.name}"


def read(extent: Extent, part: int = 0, of: int = 1) -> Iterator[str]:
    """Texts of every `of`-th record that begins in an extent, from the `part`-th on; some may be blank.

    Raises:
        ValueError: the file can't be read, or lacks the column.
    """
    source = extent.source
    try:
        rows = _rows(extent, part, of)
        if _is_text(extent.path) and source.local:
            yield from (row["text"] for row in rows)
        else:
            yield from (source.text_of(row, where(source)) for row in rows)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        place = f" after byte {extent.start}" if extent.stop else ""
        raise ValueError(f"{where(source)}: {extent.path}{place} can't be read: {error}") from error


def _of_file(source: Source, path: str, size: int) -> Iterator[Extent]:
    if _splits(source, path):
        total = Path(path).stat().st_size
        yield from (Extent(source, path, start, min(start + size, total)) for start in range(0, total, size))
    elif path.lower().endswith(".parquet"):
        groups = _parquet(source, path).num_row_groups
        yield from (Extent(source, path, group, group + 1) for group in range(groups))
    else:
        yield Extent(source, path)


def _of_hub(source: Source) -> Iterator[Extent]:
    shards = stream_hub(source.path, where(source), source.subset, source.split).num_shards
    yield from (Extent(source, source.path, shard, shards) for shard in range(shards))


def _splits(source: Source, path: str) -> bool:
    """Whether documents of this file can be found from any byte on."""
    if path.lower().endswith(PACKED):
        return False
    return Path(path).suffix.lower() == ".jsonl" or _by_lines(source, path)


def _by_lines(source: Source, path: str) -> bool:
    return _is_text(path) and source.unit in ("line", "paragraph")


def _is_text(path: str) -> bool:
    return kind(path) == "text"


def _rows(extent: Extent, part: int, of: int) -> Iterator[Row]:
    source, path = extent.source, extent.path
    if source.local and (_by_lines(source, path) or ".jsonl" in Path(path).suffixes):
        return _of_records(extent, part, of)
    return islice(_all_rows(extent), part, None, of)


def _all_rows(extent: Extent) -> Iterator[Row]:
    source, path = extent.source, extent.path
    if not source.local:
        shards = stream_hub(path, where(source), source.subset, source.split)
        return iter(shards.shard(num_shards=extent.stop, index=extent.start))
    if path.lower().endswith(".parquet"):
        return _of_groups(extent)
    return iterate_file(path, where(source), source.unit)


def _parquet(source: Source, path: str) -> Any:
    try:
        return pq.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{where(source)}: {path} can't be read: {error}") from error


def _of_groups(extent: Extent) -> Iterator[Row]:
    """Rows of Parquet row groups, with no more than `ROWS` of them decoded at once."""
    with _parquet(extent.source, extent.path) as file:
        wanted = [extent.source.text] if extent.source.text in file.schema_arrow.names else None
        for batch in file.iter_batches(batch_size=ROWS, row_groups=range(extent.start, extent.stop), columns=wanted):
            yield from batch.to_pylist()


def _of_records(extent: Extent, part: int, of: int) -> Iterator[Row]:
    """Rows of text or JSON lines, of which only those that are asked for are parsed; blank lines of JSON are none."""
    text = _is_text(extent.path)
    with _open(extent.path) as file:
        cut = paragraphs if text and extent.source.unit == "paragraph" else lines
        records = (record for record in cut(file, extent) if text or record.strip())
        for record in islice(records, part, None, of):
            yield {"text": record.decode()} if text else parse(record)


def _open(path: str) -> Any:
    """A file's bytes, unpacked; fsspec's own opener for plain files reads lines slowly."""
    packed = path.lower().endswith(PACKED)
    return fsspec.open(path, "rb", compression="infer") if packed else open(path, "rb")


def parse(line: bytes) -> Row:
    """A JSON line; halves of surrogate pairs, which no text can hold, are replaced."""
    row: Row = json.loads(line)
    if b"\\ud" in line.lower():
        row = {k: v.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(v, str) else v
               for k, v in row.items()}  # fmt: skip
    return row


def lines(file: IO[bytes], extent: Extent) -> Iterator[bytes]:
    """The lines that begin in an extent, without their ends. A line begins where the byte before ends one."""
    place = _first_line(file, extent.start)
    while not extent.stop or place < extent.stop:
        line = file.readline()
        if not line:
            return
        place += len(line)
        yield line.rstrip(b"\r\n")


def paragraphs(file: IO[bytes], extent: Extent) -> Iterator[bytes]:
    """The paragraphs that begin in an extent. One begins with the first line after a blank one, or of the file."""
    place = _first_line(file, extent.start)
    fresh = place == 0 or _after_blank(file, place)
    current: list[bytes] = []
    for line in file:
        blank = line in BLANK
        if not current and extent.stop and place >= extent.stop:
            return
        if blank and current:
            yield b"".join(current).rstrip(b"\r\n")
            current = []
        elif not blank and (fresh or current):
            current.append(line)
        fresh, place = blank, place + len(line)
    if current:
        yield b"".join(current).rstrip(b"\r\n")


def _first_line(file: IO[bytes], start: int) -> int:
    """Go to the first line that begins at `start` or after it; the place of that."""
    if start == 0:
        return 0
    file.seek(start - 1)
    return start - 1 + len(file.readline())


def _after_blank(file: IO[bytes], place: int) -> bool:
    """Whether the line before `place` is blank; the file stays at `place`."""
    file.seek(max(0, place - 3))
    before = file.read(place - max(0, place - 3))
    return before.endswith((b"\n\n", b"\n\r\n"))
