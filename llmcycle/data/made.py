"""Rows that another stage has made, read from its artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmcycle.data.rows import Table
from llmcycle.quantities import NotNegative

# Columns of the files that `llmcycle.align.constitution` writes.
COLUMNS: dict[str, tuple[str, ...]] = {
    "revisions.jsonl": ("prompt", "completion"),
    "preferences.jsonl": ("prompt", "chosen", "rejected", "margin"),
}


class Made(Table):
    """One file of an artifact.

    Args:
        path: the artifact's folder.
        file: in it, one of `COLUMNS`.
        holdout: see `Table`.
        table: the further arguments of `Table`.
    """

    def __init__(self, path: str, file: str, holdout: NotNegative = 0, **table: Any) -> None:
        super().__init__(train=str(Path(path) / file), holdout=holdout, **table)

    @staticmethod
    def rows_have(**arguments: Any) -> tuple[str, ...]:
        """Columns, which are known before the artifact is there."""
        return COLUMNS[arguments["file"]]

    @staticmethod
    def preflight(**arguments: Any) -> None:
        """Refuse, before anything runs, a file that no stage writes, and a folder without it."""
        path, file = arguments["path"], arguments["file"]
        if file not in COLUMNS:
            raise ValueError(
                f"data.file: {file} is none of {', '.join(COLUMNS)}\n  try: data.file={next(iter(COLUMNS))}"
            )
        if Path(path).is_dir() and not (Path(path) / file).is_file():
            remedy = "inputs.rows=FOLDER that `llmcycle constitution` made"
            raise ValueError(f"inputs.rows: {path} holds no {file}\n  try: {remedy}")
