"""Odd files give exactly the text that Python's `csv` and `json` read, or a refusal that names the place."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llmcycle.data.read import first_row, iterate_file, read_files

# Values that guessing readers change: numbers, words for nothing, dates, blanks, marks, scripts, escapes.
TEXTS = [
    *("007", "02116", "3.10", "12345678901234567890123", "1e5", "-0", "+1", "0x10", "1_000", "NaN", "inf"),
    *("NA", "None", "null", "nan", "N/A", "", "true", "TRUE", "no", "2024-01-05", "12:30", "1/2", "50%", "$5"),
    *(" a ", "\ttab", "two\nlines", "a,b", "a;b", 'say "hi"', "it's", "\\n", "#5", "=1+1", "{}", "[1]"),
    *("\u00e9", "\u4e2d\u6587", "\U0001f600", "\u200b", "e\u0301", "\u0130", "\u2028", "x" * 200_000),
]


def delimited(rows: list[dict[str, str]], **options: Any) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), **options)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


ROWS = [{"prompt": f"q{place}", "completion": text} for place, text in enumerate(TEXTS)]
PLAIN = [row for row in ROWS if not set(row["completion"]) & set("\t\n")]  # what TSV can hold
WRITERS = {
    "rows.csv": (ROWS, delimited(ROWS)),
    "unix.csv": (ROWS, delimited(ROWS, lineterminator="\n")),
    "quoted.csv": (ROWS, delimited(ROWS, quoting=csv.QUOTE_ALL)),
    "mark.csv": (ROWS, "\ufeff" + delimited(ROWS)),
    "rows.tsv": (PLAIN, "prompt\tcompletion\n" + "".join("\t".join(row.values()) + "\n" for row in PLAIN)),
    "rows.jsonl": (ROWS, "".join(json.dumps(row) + "\n" for row in ROWS)),
    "letters.jsonl": (ROWS, "".join(json.dumps(row, ensure_ascii=False) + "\r\n\r\n" for row in ROWS)),
    "mark.jsonl": (ROWS, "\ufeff" + "".join(json.dumps(row) + "\n" for row in ROWS)),
    "list.json": (ROWS, json.dumps(ROWS)),
    "indented.json": (ROWS, json.dumps(ROWS, indent=2)),
    "lines.json": (ROWS, "\n".join(map(json.dumps, ROWS))),
    "UPPER.JSONL": (ROWS, "".join(json.dumps(row) + "\n" for row in ROWS)),
}  # fmt: skip
PACKERS = {"": lambda data: data, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", WRITERS)
def test_text_is_read_as_it_is_written(tmp_path: Path, name: str, packer: str) -> None:
    expected, text = WRITERS[name]
    path = tmp_path / (name + packer)
    path.write_bytes(PACKERS[packer](text.encode()))
    assert read_files(str(path), "data.train", "line") == expected
    assert list(iterate_file(str(path), "data.train", "line")) == expected
    assert first_row(str(path), "data.train", "line") == expected[0]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"prompt,completion\nFrance?,Paris, of course\n", "row 0 .*line 2.* has 3 fields"),
        ("a.csv", b"prompt,completion\na,b\nc\n", "row 1 .*line 3.* has 1 fields"),
        ("a.csv", b"prompt,prompt\na,b\n", "two columns are named `prompt`"),
        ("a.csv", b'prompt,completion\nq,"never ends\n', "line 2"),
        ("a.csv", b'prompt,completion\nq,"a"b\n', "line 2"),
        ("a.tsv", b"prompt\tcompletion\na\tb\tc\n", "row 0 .* has 3 fields"),
        ("a.csv", "prompt\ncaf\u00e9\n".encode("latin-1"), "byte .* is no UTF-8"),
        ("a.csv", "prompt\nx\n".encode("utf-16"), "is no UTF-8; convert it: iconv"),
        ("a.jsonl", b'{"a": 1}\n{oops\n', "row 1 .*line 2.* is not JSON"),
        ("a.jsonl", b'{"a": 1}\n{"a": 2', "row 1 .*line 2.* is not JSON"),
        ("a.jsonl", b'{"a": 1}\n[1, 2]\n', "row 1 .* must be a mapping"),
        ("a.jsonl", b'{"a": 1}\n7\n', "row 1 .* must be a mapping"),
        ("a.jsonl", b'{"a": "\\ud800"}\n', "row 0 .*half of a surrogate pair"),
        ("a.json", b'[{"a": 1}, {"a": 2]', "line 1: this is not JSON"),
        ("a.json", b'[{"a": 1}, 7]', "row 1 .* must be a mapping"),
        ("a.json", b"{\n", "this is not JSON"),
        ("a.csv.gz", b"no gzip", "Not a gzipped file"),
        ("a.parquet", b"PAR1", ""),
        ("a.pdf", b"%PDF", "ending in .txt"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_its_place(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"(?s)^data\.train: .*{name} can't be read: .*{reason}"):
        read_files(str(path), "data.train", "line")


def test_types_of_json_are_those_of_each_row(tmp_path: Path) -> None:
    rows = [{"a": 5, "when": "2024-01-05"}, {"a": 2.5, "b": [1, "x"]}, {"a": True, "b": {"c": None}}, {"a": "5"}]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_files(str(path), "data.train", "line") == rows
    assert [type(row["a"]) for row in read_files(str(path), "data.train", "line")] == [int, float, bool, str]


def test_a_column_that_only_later_rows_have(tmp_path: Path) -> None:
    rows = [{"id": "x" * 1000, **({"source": "b"} if place > 11_000 else {})} for place in range(12_000)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_files(str(path), "data.train", "line") == rows


def test_arrow_pads_no_arguments(tmp_path: Path) -> None:
    rows = [{"call": {"city": "Paris"}, "n": None}, {"call": {"a": 1, "b": [{"x": 1}, {"y": 2}]}, "n": 2}]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert read_files(str(path), "data.train", "line") == rows


def test_text_has_no_byte_order_mark_and_one_kind_of_line_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\ntwo\rthree\n\nfour".encode())
    texts = {
        unit: [row["text"] for row in read_files(str(path), "data.train", unit)]
        for unit in ("line", "paragraph", "document")
    }
    assert texts == {
        "line": ["one", "two", "three", "four"],
        "paragraph": ["one\ntwo\nthree", "four"],
        "document": ["one\ntwo\nthree\n\nfour"],
    }


def test_zstandard_is_read_or_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.zst"
    try:
        import zstandard
    except ImportError:
        path.write_bytes(b"whatever")
        with pytest.raises(ValueError, match="pip install zstandard"):
            read_files(str(path), "data.train", "line")
    else:
        path.write_bytes(zstandard.compress(b'{"a": "1"}'))
        assert read_files(str(path), "data.train", "line") == [{"a": "1"}]
