"""Reading: local files by their ending, everything else by its name on the Hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import datasets
from rapidfuzz import process

from llmcycle.data.encode import Row

T = TypeVar("T")
Unit = Literal["document", "paragraph", "line"] | int

BUILDERS = {
    **dict.fromkeys((".txt", ".md"), "text"),
    **dict.fromkeys((".json", ".jsonl"), "json"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    ".parquet": "parquet",
}
PACKED = (".gz", ".bz2", ".xz", ".zst")


def kind(path: str) -> str | None:
    """The `datasets` builder that reads a file of this name; None for an ending that none of them knows."""
    suffixes = [suffix for suffix in Path(path).suffixes if suffix not in PACKED]
    return BUILDERS.get(suffixes[-1].lower()) if suffixes else None


def is_local(source: str) -> bool:
    """Whether this names a file or a folder: it exists, looks like a path, or has an ending that is read here."""
    return Path(source).exists() or source.startswith(("/", "./", "../", "~")) or bool(kind(source))


def read_files(source: str, key: str, unit: Unit) -> list[Row]:
    """All rows of a file, or of the files of one format in a folder. Blank rows of text are left out.

    Raises:
        ValueError: a file is missing, broken or of an unknown format.
    """
    paths = local_files(source, key)
    rows: list[Row] = _explained(source, key, lambda: _load(paths, unit, streaming=False).to_list(), [])
    return [piece for row in rows for piece in _pieces(row, unit) if _holds_something(piece)]


def first_row(source: str, key: str, unit: Unit) -> Row | None:
    """The first row that `read_files` would give, without reading on; None where there is none. Raises as it does."""
    paths = local_files(source, key)
    rows: Iterator[Row] = _explained(source, key, lambda: iter(_load(paths, unit, streaming=True)), iter([]))
    found = _explained(source, key, lambda: next(row for row in rows if _holds_something(row)), None)
    return None if found is None else dict(found)


def read_hub(name: str, key: str, subset: str | None, split: str) -> list[Row]:
    """All rows of one split on the Hub.

    Raises:
        ValueError: there is no such data set, subset or split, or the Hub can't be reached.
    """
    return _hub(name, key, lambda: list(datasets.load_dataset(name, subset, split=split).to_list()))


def iterate_file(path: str, key: str, unit: Unit) -> Iterator[Row]:
    """The rows of one file one after another, as `read_files` gives them, without holding them all."""
    rows: Iterator[Row] = _explained(path, key, lambda: iter(_load([path], unit, streaming=True)), iter([]))
    while (row := _explained(path, key, lambda: next(rows, None), None)) is not None:
        yield from (piece for piece in _pieces(dict(row), unit) if _holds_something(piece))


def stream_hub(name: str, key: str, subset: str | None, split: str) -> Any:
    """A split on the Hub as an iterable data set that is read while it is used. Raises as `read_hub` does."""
    return _hub(name, key, lambda: datasets.load_dataset(name, subset, split=split, streaming=True))


def _hub(name: str, key: str, read: Callable[[], T]) -> T:
    try:
        _hush()
        return read()
    except (datasets.exceptions.DatasetNotFoundError, ConnectionError, OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{key}: {name} is neither a file here nor a data set that the Hub gives: {reason}") from error


def local_files(source: str, key: str) -> list[str]:
    """The files that a path names: itself, or all that a folder holds.

    Raises:
        ValueError: there is no such file; the nearest is named.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return sorted(str(file) for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    if path.is_file():
        return [str(path)]
    here = [str(file) for file in path.parent.glob("*") if file.is_file()] if path.parent.is_dir() else []
    near = process.extractOne(str(path), here, score_cutoff=80)
    raise ValueError(f"{key}: there is no file {source}" + (f"; did you mean {near[0]}?" if near else ""))


def _load(paths: list[str], unit: Unit, streaming: bool) -> Any:
    kinds = {kind(path) for path in paths}
    if len(kinds) != 1 or None in kinds:
        raise ValueError(f"files of one format are needed, ending in {', '.join(BUILDERS)}")
    name = str(kinds.pop())
    options: dict[str, Any] = {"sep": "\t"} if name == "csv" and ".tsv" in paths[0] else {}
    if name == "text":
        options = {"sample_by": "document" if isinstance(unit, int) else unit}
    _hush()
    return datasets.load_dataset(name, data_files=paths, split="train", streaming=streaming, **options)


def _explained(source: str, key: str, read: Callable[[], T], empty: T) -> T:
    """What `read` gives; `empty` where `datasets` stumbles over a file without rows. Other errors name the file."""
    try:
        return read()
    except StopIteration:  # of an empty JSON file
        return empty
    except (datasets.exceptions.DatasetGenerationError, ValueError) as error:
        if "corresponds to no data" in str(error):  # of a CSV file with a head only
            return empty
        raise ValueError(f"{key}: {source} can't be read: {error.__cause__ or error}") from error


def _pieces(row: Row, unit: Unit) -> list[Row]:
    if not isinstance(unit, int) or set(row) != {"text"}:
        return [row]
    return [{"text": row["text"][i : i + unit]} for i in range(0, len(row["text"]), unit)]


def _holds_something(row: Row) -> bool:
    return set(row) != {"text"} or bool(str(row["text"]).strip())


def _hush() -> None:
    """No bars, no logged errors (they are raised too), and no word to the Hub that a data set was read."""
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
