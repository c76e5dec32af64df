"""What a corpus is made of: named sources, each a file, files or a data set of the Hub."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from rapidfuzz import process

from llmcycle.data.columns import map_columns
from llmcycle.data.encode import Row
from llmcycle.data.read import Unit, first_row, is_local, local_files, read_files, read_hub

Spec = str | Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """A named source of documents.

    Args:
        name: what reports call it.
        path: a file, a folder of files of one format, files by `*` and `**`, or a name on the Hub.
        weight: how many times an epoch goes through it: 2 shows each document twice, 0.5 every second one.
        text: the column with the text, or a text with `{column}` in it.
        unit: one document of a text file: "document" (the file), "paragraph", "line", or a number of characters.
        subset, split: names on the Hub.
    """

    name: str
    path: str
    weight: float = 1.0
    text: str = "text"
    unit: Unit = "line"
    subset: str | None = None
    split: str = "train"

    @property
    def local(self) -> bool:
        """Whether it is read from files."""
        return glob.has_magic(self.path) or is_local(self.path)

    def files(self, key: str) -> list[str]:
        """Its files, in order of their names.

        Raises:
            ValueError: there is none.
        """
        if not glob.has_magic(self.path):
            return local_files(self.path, key)
        files = sorted(file for path in glob.glob(self.path, recursive=True) for file in local_files(path, key))
        if not files:
            raise ValueError(f"{key}: no file matches {self.path}; quote it as '{key}=\"{self.path}\"'")
        return list(dict.fromkeys(files))

    def text_of(self, row: Row, key: str) -> str:
        """The text of a row; "" where its column is empty.

        Raises:
            ValueError: there is no such column.
        """
        if self.text in row:
            return str(row[self.text] or "")
        try:
            return str(map_columns([row], {"text": self.text}, self.path)[0]["text"])
        except ValueError as error:
            raise ValueError(str(error).replace("data.columns.text", f"{key}.text")) from None


def source(name: str, spec: Spec, key: str = "data.sources") -> Source:
    """A source from its path alone, or from a mapping of its settings.

    Raises:
        ValueError: a dot in the name, an unknown setting, no path, or a weight that is not positive.
    """
    if "." in name:
        raise ValueError(f"{key}: `{name}` has a dot, which a key can't have; name it without")
    settings = {"path": spec} if isinstance(spec, str) else dict(spec)
    known = [field.name for field in fields(Source) if field.name != "name"]
    for setting in settings:
        if setting not in known:
            near = process.extractOne(setting, known)[0]
            raise ValueError(f"{key}.{name}: a source has no setting `{setting}`; did you mean `{near}`?")
    if not settings.get("path"):
        raise ValueError(f"{key}.{name}: it needs `path`: a file, files by `*`, or a name on the Hub")
    result = Source(name, **settings)
    if not result.weight > 0:
        raise ValueError(f"{key}.{name}.weight={result.weight}: it must be above 0; to leave a source out, remove it")
    return result


def not_null(parts: Mapping[str, T | None] | None) -> dict[str, T]:
    """Those that are not null."""
    return {name: part for name, part in (parts or {}).items() if part is not None}


def sources(named: Mapping[str, Spec | None]) -> list[Source]:
    """All sources of a corpus.

    Raises:
        ValueError: there is none, or one is wrong.
    """
    present: dict[str, Spec] = not_null(named) if isinstance(named, Mapping) else {}
    if not present:
        raise ValueError("data.sources: name at least one, as in `data.sources={books: books.txt}`")
    return [source(str(name), spec) for name, spec in present.items()]


def refuse_unreadable(name: str, spec: Spec | Any, key: str) -> None:
    """Refuse local files that are missing, empty or without the text that is asked for; rows of other kinds pass."""
    if not isinstance(spec, str | Mapping) or "_target_" in spec:
        return
    origin = source(name, spec, key)
    where = f"{key}.{name}"
    if origin.local:
        row = next(filter(None, (first_row(path, where, origin.unit) for path in origin.files(where))), None)
        if row is None:
            raise ValueError(f"{where}: {origin.path} holds no row")
        if key == "data.sources":
            origin.text_of(row, where)


def rows_of(name: str, spec: Spec | Any, key: str) -> Iterable[Row]:
    """All rows of an evaluation set, as they are: of files, of the Hub, or the validation rows of a data option."""
    if not isinstance(spec, str | Mapping):
        return list(spec.validation or spec.train)
    origin, where = source(name, spec, key), f"{key}.{name}"
    if not origin.local:
        return read_hub(origin.path, where, origin.subset, origin.split)
    return [row for path in origin.files(where) for row in read_files(path, where, origin.unit)]
