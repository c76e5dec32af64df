"""Rows that another stage has made: their columns are known before they are there, and a wrong artifact is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmcycle.data.made import COLUMNS, Made


def write(folder: Path, file: str, count: int) -> None:
    rows = [{**dict.fromkeys(COLUMNS[file], f"text {n}"), "principle": "truth"} for n in range(count)]
    (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.mark.parametrize("file", COLUMNS)
def test_rows_are_read_and_some_are_held_out(tmp_path: Path, file: str) -> None:
    write(tmp_path, file, 10)
    made = Made(path=str(tmp_path), file=file, holdout=3)
    assert (len(made.train), len(made.validation)) == (7, 3)
    assert {*Made.rows_have(file=file)} <= made.train[0].keys()


def test_what_is_not_there_yet_is_no_fault_and_a_folder_without_the_file_is(tmp_path: Path) -> None:
    Made.preflight(path=str(tmp_path / "later"), file="revisions.jsonl")
    with pytest.raises(ValueError, match=r"inputs\.rows: .* holds no revisions\.jsonl\n  try: inputs\.rows=FOLDER"):
        Made.preflight(path=str(tmp_path), file="revisions.jsonl")
    with pytest.raises(ValueError, match=r"data\.file: other\.jsonl is none of revisions\.jsonl, preferences\.jsonl"):
        Made.preflight(path=str(tmp_path), file="other.jsonl")
