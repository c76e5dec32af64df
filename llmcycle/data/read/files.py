"""Local files, and folders of them, as rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rapidfuzz import process

from llmcycle.data.read import delimited, json_rows, parquet, text
from llmcycle.data.read.formats import FORMATS, Unit, kind

Row = dict[str, Any]


def is_local(source: str) -> bool:
    """Whether this names a file or a folder: it exists, looks like a path, or has an ending that is read here."""
    return Path(source).expanduser().exists() or source.startswith(("/", "./", "../", "~")) or bool(kind(source))


def read_files(source: str, key: str, unit: Unit) -> list[Row]:
    """All rows of a file, or of the files of one format in a folder. Blank rows of text are left out.

    Raises:
        ValueError: a file is missing, broken or of an unknown format.
    """
    return list(_iterate(local_files(source, key), key, unit))


def first_row(source: str, key: str, unit: Unit) -> Row | None:
    """The first row that `read_files` would give, without reading on; None where there is none. Raises as it does."""
    return next(_iterate(local_files(source, key), key, unit), None)


def iterate_file(path: str, key: str, unit: Unit) -> Iterator[Row]:
    """The rows of one file one after another, as `read_files` gives them, without holding them all."""
    return _iterate([path], key, unit)


def local_files(source: str, key: str) -> list[str]:
    """The files that a path names: itself, or all that a folder holds.

    Raises:
        ValueError: there is no such file; the nearest is named. Or its format is not one that is read here.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return _alike(
            sorted(str(f) for f in path.rglob("*") if f.is_file() and not f.name.startswith(".")), source, key
        )
    if path.is_file():
        return _alike([str(path)], source, key)
    here = [str(file) for file in path.parent.glob("*") if file.is_file()] if path.parent.is_dir() else []
    near = process.extractOne(str(path), here, score_cutoff=80)
    raise ValueError(f"{key}: there is no file {source}" + (f"; did you mean {near[0]}?" if near else ""))


def _alike(paths: list[str], source: str, key: str) -> list[str]:
    kinds = {kind(path) for path in paths}
    if len(kinds) != 1 or None in kinds:
        endings = ", ".join(FORMATS)
        raise ValueError(f"{key}: {source} can't be read: files of one format are needed, ending in {endings}")
    return paths


def _iterate(paths: list[str], key: str, unit: Unit) -> Iterator[Row]:
    for path in paths:
        try:
            yield from _rows(path, unit)
        except UnicodeDecodeError as error:
            what = f"byte {error.start} is no UTF-8"
            remedy = f"convert it from what it is, perhaps: iconv -f WINDOWS-1252 -t UTF-8 {path}"
            raise ValueError(f"{key}: {path} can't be read: {what}; {remedy}") from error
        except (OSError, EOFError, ValueError) as error:
            raise ValueError(f"{key}: {path} can't be read: {error}") from error


def _rows(path: str, unit: Unit) -> Iterator[Row]:
    form = kind(path)
    if form == "text":
        return text.rows(path, unit)
    if form == "json":
        return json_rows.rows(path)
    return parquet.rows(path) if form == "parquet" else delimited.rows(path, str(form))
