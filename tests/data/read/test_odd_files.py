"""Odd files give exactly the text that Python's `csv` and `json` read, or a refusal that names the place."""

from __future__ import annotations

import bz2
import csv
import datetime
import gzip
import io
import json
import lzma
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llmcycle.data.read import first_row, iterate_file, read_files
from llmcycle.data.rows import Table

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
PACKERS = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}


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


def zstandard(*frames: bytes) -> bytes:
    codec = pa.Codec("zstd")
    return b"".join(codec.compress(frame, asbytes=True) for frame in frames)


LINE = b'{"a": "1"}\n'
PACKED_ODDLY: dict[str, tuple[bytes, Any]] = {
    "two_members.jsonl.gz": (gzip.compress(LINE) + gzip.compress(LINE), [{"a": "1"}] * 2),
    "two_streams.jsonl.bz2": (bz2.compress(LINE) + bz2.compress(LINE), [{"a": "1"}] * 2),
    "two_streams.jsonl.xz": (lzma.compress(LINE) + lzma.compress(LINE), [{"a": "1"}] * 2),
    "one_frame.jsonl.zst": (zstandard(LINE * 3), [{"a": "1"}] * 3),
    "two_frames.jsonl.zst": (zstandard(LINE, LINE), [{"a": "1"}] * 2),
    "a_line_over_two_frames.jsonl.zst": (zstandard(LINE[:5], LINE[5:]), [{"a": "1"}]),
    "nothing.jsonl.gz": (b"", []),
    "nothing.jsonl.zst": (b"", []),
    "of_nothing.jsonl.gz": (gzip.compress(b""), []),
    "cut.jsonl.gz": (gzip.compress(LINE * 9)[:-9], "end-of-stream"),
    "cut.jsonl.bz2": (bz2.compress(LINE * 9)[:-5], "end-of-stream"),
    "cut.jsonl.xz": (lzma.compress(LINE * 9)[:-9], "end-of-stream"),
    "cut.jsonl.zst": (zstandard(LINE * 9)[:-3], "Truncated"),
    "second_frame_cut.jsonl.zst": (zstandard(LINE) + zstandard(LINE * 9)[:-3], "Truncated"),
    "broken.jsonl.gz": (gzip.compress(LINE * 9)[:15] + b"zzzzzz" + gzip.compress(LINE * 9)[21:], "broken"),
    "broken.jsonl.xz": (lzma.compress(LINE * 9)[:20] + b"zzzzzz" + lzma.compress(LINE * 9)[26:], "broken"),
    "tail.jsonl.gz": (gzip.compress(LINE) + b"and more", "Not a gzipped file"),
    "plain.jsonl.zst": (LINE, "ZSTD"),
    "packed.jsonl": (gzip.compress(LINE), "no UTF-8"),
}
CSV: dict[str, tuple[bytes, Any]] = {
    "old_mac.csv": (b"a,b\r1,2\r3,4\r", None),
    "zero.csv": (b"a,b\n1,x\0y\n", None),
    "quotes_in_a_field.csv": (b'a,b\n1,x"y"z\n', None),
    "doubled_quotes.csv": (b'a,b\n"say ""hi""",2\n', None),
    "lines_in_a_field.csv": (b'a,b\n"1\r\n2","3\n\n4"\n', None),
    "old_line_in_a_field.csv": (b'a,b\n"1\r2",3\n', None),
    "blank_lines.csv": (b"a,b\n\n1,2\n\n\n3,4\n\n", None),
    "blanks_above.csv": (b"\n\na,b\n1,2\n", [{"a": "1", "b": "2"}]),
    "comma_at_the_end.csv": (b"a,b,\n1,2,\n", None),
    "semicolons.csv": (b"a;b\n1;2\n", None),
    "one_column.csv": (b"a\n1\n2\n", None),
    "no_rows.csv": (b"a,b\n", None),
    "no_last_line_end.csv": (b"a,b\n1,2", None),
    "blanks_around.csv": (b"a, b\n 1 , 2 \n", None),
    "long.csv": (b"a,b\n" + b"x" * 300_000 + b",2\n", None),
    "escapes.csv": (rb"a,b" + b"\n" + rb"\n\t,C:\new" + b"\n", None),
    "marks_inside.csv": ("a,b\n\ufeffx,y\n".encode(), None),
    "fields_too_many.csv": (b"a,b\n1,2\n3,4,5\n", "row 1 .*line 3.* has 3 fields"),
    "comma_in_rows_only.csv": (b"a,b\n1,2,\n", "row 0 .* has 3 fields"),
    "backslash_quote.csv": (rb"a,b" + b"\n" + rb'"x\"y",2' + b"\n", "line 2"),
    "quote_never_ends.csv": (b'a,b\n1,2\n3,"4\n5,6\n', "line 4"),
    "no_mark.csv": ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16"),
    "latin.tsv": ("a\tb\ncaf\u00e9\tx\n".encode("latin-1"), "byte .* is no UTF-8"),
    "old_line_in_a_field.tsv": (b"a\tb\n1\tx\ry\n", "row 1 .* has 1 fields"),
    "double.tsv": (b"a\ta\n1\t2\n", "two columns are named `a`"),
}
DIGITS, DEEP = b"1" * 5000, b"[" * 100_000 + b"]" * 100_000
JSON: dict[str, tuple[bytes, Any]] = {
    "double_keys.jsonl": (b'{"a": "1", "a": "2"}\n', None),
    "not_a_number.jsonl": (b'{"a": NaN, "b": -Infinity}\n', None),
    "beyond_range.jsonl": (b'{"a": 1e400}\n', None),
    "big_numbers.jsonl": (b'{"a": 123456789012345678901234567890, "b": 0.1000000000000000055}\n', None),
    "surrogate_pair.jsonl": (rb'{"a": "\ud83d\ude00 \u0000 \/"}' + b"\n", None),
    "separators.jsonl": ('{"a": "x\u2028y\u2029z\x85"}\n{"a": "2"}\n'.encode(), None),
    "blank_lines.jsonl": (b'{"a": 1}\n\n  \n{"a": 2}\n', None),
    "old_mac.jsonl": (b'{"a": 1}\r{"a": 2}\r', [{"a": 1}, {"a": 2}]),
    "mixed.jsonl": (b'{"a": 1}\n{"a": "1"}\n{"a": [1, null]}\n{"a": {"b": null}}\n{"c": true}\n', None),
    "indented.jsonl": (b'{\n "a": 1\n}\n', [{"a": 1}]),
    "list.jsonl": (b'[{"a": 1},\n {"a": 2}]\n', [{"a": 1}, {"a": 2}]),
    "list_after_blanks.jsonl": (b'  [\n{"a": 1}]', [{"a": 1}]),
    "empty_list.json": (b"[]", []),
    "one_mapping.json": (b'{"a": ["x", "y"]}', [{"a": ["x", "y"]}]),
    "garbage_behind.jsonl": (b'{"a": 1} x\n', "row 0 .*Extra data"),
    "two_on_a_line.jsonl": (b'{"a": 1}\n{"a": 2}{"a": 3}\n', "row 1 .*Extra data"),
    "single_quotes.jsonl": (b"{'a': 1}\n", "row 0 .* is not JSON"),
    "comma_at_the_end.jsonl": (b'{"a": 1}\n{"a": 2,}\n', "row 1 .*line 2.* is not JSON"),
    "comment.jsonl": (b'// rows\n{"a": 1}\n', "row 0 .* is not JSON"),
    "tab_in_a_text.jsonl": (b'{"a": "x\ty"}\n', "row 0 .*Invalid control character"),
    "half_in_a_key.jsonl": (rb'{"\ud800": 1}' + b"\n", "row 0 .*half of a surrogate pair"),
    "half_inside.jsonl": (rb'{"a": [{"b": "\ude00\ud83d"}]}' + b"\n", "row 0 .*half of a surrogate pair"),
    "digits.jsonl": (b'{"a": 1}\n{"a": ' + DIGITS + b"}\n", "row 1 .*digits"),
    "digits_first.jsonl": (b'{"a": ' + DIGITS + b"}\n", "row 0 .*digits"),
    "deep.jsonl": (b'{"a": 1}\n{"a": ' + DEEP + b"}\n", "row 1 .*recursion"),
    "two_indented.json": (b'{\n"a": 1\n}\n{\n"a": 2\n}', "line 4: this is not JSON"),
    "text.json": (b'"x"', "row 0 .*must be a mapping"),
    "list_of_lists.json": (b'[[{"a": 1}]]', "row 0 .*must be a mapping"),
    "null.jsonl": (b'{"a": 1}\nnull\n', "row 1 .*must be a mapping"),
}
TEXT: dict[str, tuple[bytes, Any]] = {
    "form_feeds.txt": ("1\x0c2\n\x0c\n3\x0b\x1c\x85\u2028x".encode(), ["1\x0c2", "3\x0b\x1c\x85\u2028x"]),
    "zero.txt": (b"a\0b\n", ["a\0b"]),
    "old_mac.txt": (b"a\rb\r\rc", ["a", "b", "c"]),
    "blanks_around.txt": (b"  a  \n\tb\n", ["  a  ", "\tb"]),
    "no_last_line_end.txt": (b"a\nb", ["a", "b"]),
    "two_marks.txt": ("\ufeffa\n\ufeffb".encode(), ["a", "\ufeffb"]),
    "no_mark.txt": ("hello\nyou".encode("utf-16-be"), "UTF-16"),
    "wide.txt": ("ab".encode("utf-32"), "no UTF-8"),
    "half.txt": (b"\xed\xa0\x80", "byte 0 is no UTF-8"),
}  # fmt: skip


def by_python(name: str, content: bytes) -> list[dict[str, Any]]:
    """What `csv` and `json` read."""
    text = content.decode("utf-8")
    if name.endswith(".csv"):
        return list(csv.DictReader(io.StringIO(text, newline="")))
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def test_sixty_odd_files_are_tried() -> None:
    assert len({*PACKED_ODDLY, *CSV, *JSON, *TEXT}) >= 60


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [(name, *pair) for table in (PACKED_ODDLY, CSV, JSON, TEXT) for name, pair in table.items()],
    ids=[*PACKED_ODDLY, *CSV, *JSON, *TEXT],
)
def test_an_odd_file_is_read_exactly_or_refused_by_its_row(
    tmp_path: Path, name: str, content: bytes, expected: Any
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=rf"(?s)^data\.train: .*{name} can't be read: .*{expected}"):
            read_files(str(path), "data.train", "line")
        return
    rows = by_python(name, content) if expected is None else expected
    rows = [{"text": row} if isinstance(row, str) else row for row in rows]
    assert repr(read_files(str(path), "data.train", "line")) == repr(rows), "NaN is not equal to itself"


WHEN, COST = datetime.date(2024, 1, 5), Decimal("1.10")
TOOLS = [{"name": "a", "arguments": {"x": 1}}, {"name": "b", "arguments": {"y": [{"z": 1}, {"w": 2}]}}]
PARQUET: dict[str, tuple[pa.Table, Any]] = {
    "padding": (pa.Table.from_pylist([{"m": [call]} for call in TOOLS]), [{"m": [call]} for call in TOOLS]),
    "numbers": (pa.table({"a": [5, None], "b": [2.5, 5.0]}), [{"a": 5, "b": 2.5}, {"a": None, "b": 5.0}]),
    "dates": (pa.table({"a": ["x"], "d": [WHEN]}), [{"a": "x", "d": WHEN}]),
    "decimals": (pa.table({"a": ["x"], "d": [COST]}), [{"a": "x", "d": COST}]),
    "bytes": (pa.table({"a": ["x"], "d": [b"\xff\x00"]}), [{"a": "x", "d": b"\xff\x00"}]),
    "dictionary": (pa.table({"a": pa.array(["007", "NA"]).dictionary_encode()}), [{"a": "007"}, {"a": "NA"}]),
    "large_text": (pa.table({"a": pa.array(["x\0\r\n"], pa.large_string())}), [{"a": "x\0\r\n"}]),
    "maps": (pa.table({"m": pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string()))}), [{"m": {"k": "v"}}]),
    "no_rows": (pa.table({"a": pa.array([], pa.string())}), []),
    "no_columns": (pa.table({}), []),
    "double": (pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["a", "a"]), "two columns are named `a`"),
    "double_in_a_map": (pa.table({"m": pa.array([[("k", "v"), ("k", "w")]], pa.map_(pa.string(), pa.string()))}), "k"),
}  # fmt: skip


@pytest.mark.parametrize("name", PARQUET)
def test_an_odd_parquet_file(tmp_path: Path, name: str) -> None:
    table, expected = PARQUET[name]
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=rf"a\.parquet can't be read: .*{expected}"):
            read_files(str(path), "data.train", "line")
    else:
        assert read_files(str(path), "data.train", "line") == expected


def test_a_text_of_parquet_that_is_none_is_refused_by_its_row(tmp_path: Path) -> None:
    starts = pa.py_buffer(b"".join(place.to_bytes(4, "little") for place in (0, 1, 2)))
    broken = pa.Array.from_buffers(pa.string(), 2, [None, starts, pa.py_buffer(b"a\xff")])
    pq.write_table(pa.table({"a": broken}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"row 1 \(counted from 0\) has a text that is no UTF-8"):
        read_files(str(tmp_path / "a.parquet"), "data.train", "line")


@pytest.mark.parametrize("cut", [slice(0, 0), slice(0, -20), slice(10, None)])
def test_a_damaged_parquet_file(tmp_path: Path, cut: slice) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x"] * 9}), path)
    path.write_bytes(path.read_bytes()[cut])
    with pytest.raises(ValueError, match=r"a\.parquet can't be read"):
        read_files(str(path), "data.train", "line")


@pytest.mark.parametrize(
    ("value", "kind"),
    [(WHEN, "date"), (COST, "Decimal"), (b"x", "bytes"), (["x"], "a list of other things"), ({"x": "y"}, "a mapping")],
)
def test_a_column_of_another_type_is_no_text(tmp_path: Path, value: object, kind: str) -> None:
    pq.write_table(pa.table({"text": [value]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=rf"row 0 \(counted from 0\): its `text` is .*{kind}, and a text is needed"):
        _ = Table(str(tmp_path / "a.parquet")).train
