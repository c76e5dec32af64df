"""Rows from files and from the Hub: text, JSON lines, CSV and Parquet through `datasets`, columns mapped in YAML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from llmcycle.data import shapes
from llmcycle.data.columns import TEXTS, Columns, map_columns, refuse_no_texts
from llmcycle.data.encode import Row
from llmcycle.data.holdout import hold_out
from llmcycle.data.read import Unit, first_row, is_local, read_files, read_hub
from llmcycle.quantities import Count, NotNegative


class Table:
    """Rows of a data set, as dicts, built when first asked for.

    Args:
        train: a file, a folder of files of one format, or a name on the Hub.
        validation: the same for validation rows; None takes them from `validation_split` (Hub) or by `holdout`.
        columns: new name to column, to a list of columns, or to a text with `{column}` in it; None for no such name.
        holdout: so many rows of `train`, or a share of them below 1, chosen by a hash of their content, are the
            validation rows where there are no others.
        limit, validation_limit: rows at most, the first ones.
        max_characters: longer rows (all their text together) are left out.
        subset, split, validation_split: names on the Hub. The splits are not read when `train` is a file.
        shape: the form of conversations, a name in `llmcycle.data.shapes.SHAPES`; "auto" recognises it by the columns,
            "none" leaves rows as they are.
        unit: what one row of a text file is: "document" (the file), "paragraph", "line", or a number of characters.
        transform: turns each mapped row into its final form; the shipped ones are in llmcycle/data/transforms.py.

    Attributes:
        recognised: of each part that was read, the form its rows had; None for no conversations.
    """

    def __init__(
        self,
        train: str,
        validation: str | None = None,
        columns: Columns | None = None,
        holdout: NotNegative = 0,
        limit: Count | None = None,
        validation_limit: Count | None = None,
        max_characters: Count | None = None,
        subset: str | None = None,
        split: str = "train",
        validation_split: str | None = None,
        unit: Unit = "line",
        transform: Callable[[Row], Row] | None = None,
        shape: str = "auto",
    ) -> None:
        self.train_source, self.validation_source = train, validation
        self.columns, self.transform, self.unit = columns or {}, transform, unit
        self.holdout, self.limits = holdout, {"train": limit, "validation": validation_limit}
        self.max_characters = max_characters
        self.subset, self.split, self.validation_split = subset, split, validation_split
        self.shape, self.recognised = shape, dict[str, str | None]()

    @staticmethod
    def rows_have(**arguments: Any) -> tuple[str, ...] | None:
        """Columns of the first row, in its final form; None where the rows are on the Hub."""
        source = arguments.get("train")
        if not source or not is_local(source):
            return None
        row = first_row(source, "data.train", arguments.get("unit", "line"))
        mapped = map_columns([row or {}], arguments.get("columns") or {}, source)
        shape = shapes.resolve(arguments.get("shape", "auto"), mapped[0])
        (final,) = shapes.convert(mapped, shape, "data.train")
        transform = arguments.get("transform") or dict
        return tuple(name for name, value in transform(final).items() if value is not None)

    @staticmethod
    def preflight(**arguments: Any) -> None:
        """Refuse, before anything runs, local files that are missing, empty, without a column or of another form.

        Args:
            arguments: the option's own keys; what is on the Hub is only seen when the stage runs.
        """
        columns = arguments.get("columns") or {}
        for part in ("train", "validation"):
            source = arguments.get(part)
            if source and is_local(source):
                row = first_row(source, f"data.{part}", arguments.get("unit", "line"))
                if row is None:
                    raise ValueError(f"data.{part}: {source} holds no row")
                mapped = map_columns([row], columns, source)
                shapes.convert(mapped, shapes.resolve(arguments.get("shape", "auto"), mapped[0]), f"data.{part}")

    @property
    def train(self) -> list[Row]:
        """Rows to train on."""
        return self._parts["train"]

    @property
    def validation(self) -> list[Row]:
        """Rows to score on; empty when there is neither a source, a split nor a holdout for them."""
        return self._parts["validation"]

    @cached_property
    def _parts(self) -> dict[str, list[Row]]:
        train = self._read("train", self.train_source, self.split)
        validation = self._validation()
        if validation is None:
            train, validation = hold_out(train, self.holdout)
        parts = {"train": train, "validation": validation}
        return {name: rows[: self.limits[name]] for name, rows in parts.items()}

    def _validation(self) -> list[Row] | None:
        if self.validation_source is not None:
            return self._read("validation", self.validation_source, self.validation_split or self.split)
        if self.validation_split and not is_local(self.train_source):
            return self._read("validation", self.train_source, self.validation_split)
        return None

    def _read(self, part: str, source: str, split: str) -> list[Row]:
        key = f"data.{part}"
        local = is_local(source)
        rows = read_files(source, key, self.unit) if local else read_hub(source, key, self.subset, split)
        if not rows:
            raise ValueError(f"{key}: {source} holds no row")
        mapped = map_columns(rows, self.columns, source)
        self.recognised[part] = shapes.resolve(self.shape, mapped[0])
        final = self._transformed(shapes.convert(mapped, self.recognised[part], key), key)
        refuse_no_texts(final, key)
        return self._short(final, key)

    def _transformed(self, rows: list[Row], key: str) -> list[Row]:
        if self.transform is None:
            return rows
        final = []
        for index, row in enumerate(rows):
            try:
                final.append(self.transform(row))
            except ValueError as error:
                raise ValueError(f"{key}: row {index} (counted from 0): {error}") from error
        return final

    def _short(self, rows: list[Row], key: str) -> list[Row]:
        most = self.max_characters
        fitting = [row for row in rows if most is None or characters([row.get(name) for name in TEXTS]) <= most]
        if not fitting:
            raise ValueError(f"data.max_characters={most}: each of the {len(rows)} rows of {key} is longer; raise it")
        return fitting


def characters(value: object) -> int:
    """Characters of all strings in a value, nested ones too."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(characters(item) for item in value.values())
    return sum(characters(item) for item in value) if isinstance(value, list) else 0
