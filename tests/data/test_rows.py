"""Rows from files: formats, columns, holdout, limits, refusals."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from llmcycle.data import transforms
from llmcycle.data.columns import map_columns
from llmcycle.data.holdout import hold_out
from llmcycle.data.rows import Table, characters

QA = [{"question": f"q{i}", "answer": f"a{i}"} for i in range(20)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def lines(path: Path, rows: list[dict[str, Any]]) -> str:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.json", "rows.csv", "rows.tsv", "rows.parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if "json" in name:
        lines(path, QA)
    elif name.endswith("parquet"):
        import datasets

        datasets.Dataset.from_list(QA).to_parquet(str(path))
    else:
        mark = "\t" if name.endswith("tsv") else ","
        path.write_text("\n".join([mark.join(("question", "answer")), *(mark.join(row.values()) for row in QA)]))
    table = Table(str(path), columns={"prompt": "question", "completion": "answer"})
    assert [(row["prompt"], row["completion"]) for row in table.train] == [(f"q{i}", f"a{i}") for i in range(20)]
    assert table.validation == []


TEXT = "one\ntwo\n\nthree\n\n\nfour\n"


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("line", ["one", "two", "three", "four"]),
        ("paragraph", ["one\ntwo", "three", "four"]),
        ("document", [TEXT]),
        (7, ["one\ntwo", "\n\nthree", "\n\n\nfour"]),
    ],
)
def test_text_is_cut_into_units(tmp_path: Path, unit: Any, expected: list[str]) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT)
    assert [row["text"].strip("\n") for row in Table(str(path), unit=unit).train] == [e.strip("\n") for e in expected]


def test_a_folder_is_all_of_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.txt").write_text(f"document {i}\nof two lines")
    assert len(Table(str(folder), unit="document").train) == 3
    (folder / "x.jsonl").write_text("{}")
    with pytest.raises(ValueError, match="one format"):
        _ = Table(str(folder)).train


def test_validation_is_given_or_held_out(tmp_path: Path) -> None:
    train, other = lines(tmp_path / "a.jsonl", QA), lines(tmp_path / "b.jsonl", QA[:3])
    assert Table(train, other, holdout=5).validation == QA[:3]
    split = Table(train, holdout=5, limit=4, validation_limit=2, validation_split="test")
    assert (len(split.train), len(split.validation)) == (4, 2)
    whole = Table(train, holdout=5)
    assert len(whole.validation) == 5
    assert sorted([*whole.train, *whole.validation], key=str) == sorted(QA, key=str)


def test_the_holdout_does_not_depend_on_the_order() -> None:
    forth, back = hold_out(QA, 5), hold_out(QA[::-1], 5)
    assert sorted(map(str, forth[1])) == sorted(map(str, back[1]))


def test_rows_with_the_same_prompt_stay_on_one_side() -> None:
    rows = [{"prompt": f"p{i % 4}", "completion": str(i)} for i in range(20)]
    train, validation = hold_out(rows, 3)
    assert len(validation) == 5
    assert not {row["prompt"] for row in train} & {row["prompt"] for row in validation}
    with pytest.raises(ValueError, match=r"data\.holdout=16"):
        hold_out(rows, 16)


def test_columns_are_renamed_gathered_and_filled_in() -> None:
    row = {"a": "x", "b": "y", "n": 3, "label": 1}
    columns = {"prompt": "n", "choices": ["a", "b"], "text": "{a}: {b}", "chosen": None}
    (mapped,) = map_columns([row], columns, "FILE")
    assert {name: mapped[name] for name in ("prompt", "choices", "text", "label")} == {
        "prompt": "3",
        "choices": ["x", "y"],
        "text": "x: y",
        "label": 1,
    }
    assert "chosen" not in mapped


def refusal(**arguments: Any) -> str:
    """The same before anything runs and when the rows are read."""
    with pytest.raises(ValueError) as early:  # noqa: PT011  the text is what the caller looks at
        Table.preflight(**arguments)
    with pytest.raises(ValueError) as late:  # noqa: PT011
        _ = Table(**arguments).train
    assert str(early.value) == str(late.value)
    return str(late.value)


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = lines(tmp_path / "rows.jsonl", QA)
    text = refusal(train=path, columns={"prompt": "questoin"})
    assert text.startswith("data.columns.prompt: ")
    said, _, remedy = text.partition("\n  try: ")
    assert said.endswith("no column `questoin`; did you mean `question`? (it has question, answer)")
    assert remedy == "data.columns.prompt=question"


def test_a_missing_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", QA)
    assert "did you mean" in refusal(train=str(tmp_path / "trian.jsonl"))
    assert "train.jsonl" in refusal(train=str(tmp_path / "trian.jsonl"))


@pytest.mark.parametrize(
    ("name", "content"),
    [("e.jsonl", ""), ("e.csv", "question,answer\n"), ("e.txt", "\n\n \n")],
    ids=["json", "csv", "text"],
)
def test_an_empty_data_set_is_refused(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert refusal(train=str(path)) == f"data.train: {path} holds no row"


@pytest.mark.parametrize("name", ["bad.jsonl", "bad.parquet", "bad.pdf"])
def test_a_broken_file_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("{oops")
    assert refusal(train=str(path)).startswith(f"data.train: {path}")


def test_a_value_that_is_missing_is_named_by_its_row(tmp_path: Path) -> None:
    path = lines(tmp_path / "rows.jsonl", [*QA[:2], {"question": "q", "answer": None}])
    with pytest.raises(ValueError, match=r"data\.columns\.completion: row 2 .* no value in column `answer`"):
        _ = Table(path, columns={"completion": "answer"}).train


def test_long_rows_are_left_out(tmp_path: Path) -> None:
    path = lines(tmp_path / "rows.jsonl", [{"prompt": "x" * n, "completion": "y"} for n in range(1, 9)])
    assert len(Table(path, max_characters=5).train) == 4
    with pytest.raises(ValueError, match="max_characters=1"):
        _ = Table(path, max_characters=1).train
    assert characters({"a": ["xx", {"b": "y"}], "n": 7}) == 3


def test_an_unknown_name_on_the_hub_is_refused_without_a_network() -> None:
    with pytest.raises(ValueError, match=r"data\.train: owner/nothing is neither a file here"):
        _ = Table("owner/nothing").train
    Table.preflight(train="owner/nothing", columns={"prompt": "x"})


def test_a_transform_that_fails_names_the_row(tmp_path: Path) -> None:
    path = lines(tmp_path / "rows.jsonl", [{"chosen": "no turns", "rejected": "none"}])
    with pytest.raises(ValueError, match=r"data\.train: row 0 .*Human"):
        _ = Table(path, transform=transforms.hh_dialogues).train


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": ["one", "two"]}, r"row 1 .* its `text` is a list of other things, and a text is needed"),
        ({"text": [{"role": "user", "content": "a"}]}, "its `text` is a list of other things"),
        ({"prompt": ["a", "b"], "completion": "c"}, "its `prompt` is a list of other things, and a text or a list of"),
        ({"prompt": "a", "completion": {"b": 1}}, "its `completion` is a mapping"),
    ],
)
def test_what_is_no_text_is_refused_by_row(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    right = dict.fromkeys(row, "right")
    with pytest.raises(ValueError, match=reason):
        assert Table(lines(tmp_path / "rows.jsonl", [right, row]), shape="none").train
