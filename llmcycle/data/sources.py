"""Reading: local files by their ending, everything else by its name on the Hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import datasets
from rapidfuzz import process

from llmcycle.data.encode import Row

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
    """All rows of a file, or of the files of one format in a folder.

    Raises:
        ValueError: a file is missing, broken or of an unknown format.
    """
    paths = _files(source, key)
    kinds = {kind(path) for path in paths}
    if len(kinds) != 1 or None in kinds:
        raise ValueError(f"{key}: {source}: files of one format are needed, ending in {', '.join(BUILDERS)}")
    name = str(kinds.pop())
    if name == "text":
        return _read_text(paths, unit)
    options = {"sep": "\t"} if ".tsv" in paths[0] else {}
    try:
        return _rows(lambda: datasets.load_dataset(name, data_files=paths, split="train", **options))
    except StopIteration:  # what `datasets` makes of an empty JSON file
        return []
    except (datasets.exceptions.DatasetGenerationError, ValueError) as error:
        if "corresponds to no data" in str(error):  # and of a CSV file with a head only
            return []
        raise ValueError(f"{key}: {source} is not {name}: {error.__cause__ or error}") from error


def read_hub(name: str, key: str, subset: str | None, split: str) -> list[Row]:
    """All rows of one split on the Hub.

    Raises:
        ValueError: there is no such data set, subset or split, or the Hub can't be reached.
    """
    try:
        return _rows(lambda: datasets.load_dataset(name, subset, split=split))
    except (datasets.exceptions.DatasetNotFoundError, ConnectionError, OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{key}: {name} is neither a file here nor a data set that the Hub gives: {reason}") from error


def _files(source: str, key: str) -> list[str]:
    path = Path(source).expanduser()
    if path.is_dir():
        return sorted(str(file) for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    if path.is_file():
        return [str(path)]
    here = [str(file) for file in path.parent.glob("*") if file.is_file()] if path.parent.is_dir() else []
    near = process.extractOne(str(path), here, score_cutoff=80)
    raise ValueError(f"{key}: there is no file {source}" + (f"; did you mean {near[0]}?" if near else ""))


def _read_text(paths: Sequence[str], unit: Unit) -> list[Row]:
    """Blank rows are left out. A number of characters cuts each file in pieces of that size."""
    by = "document" if isinstance(unit, int) else unit
    rows = _rows(lambda: datasets.load_dataset("text", data_files=list(paths), split="train", sample_by=by))
    if isinstance(unit, int):
        rows = [{"text": row["text"][i : i + unit]} for row in rows for i in range(0, len(row["text"]), unit)]
    return [row for row in rows if row["text"].strip()]


def _rows(load: Callable[[], Any]) -> list[Row]:
    """Lists of dicts, without bars and logged errors, and without telling the Hub that a data set was read."""
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    return list(load().to_list())
