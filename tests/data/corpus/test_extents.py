"""Extents: wherever a file is cut, each document is read once, by the extent in which it begins."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from datasets import Dataset

from llmcycle.data.corpus import extents
from llmcycle.data.corpus.source import Source, source, sources
from llmcycle.data.read import read_files

CHARACTERS = ["a", "bc ", "é", "漢字", "𝄞", " ", "\t"]


def text(random: Random, ends: str) -> str:
    """Lines of which some are blank, or end in another way, or have characters of several bytes."""
    lines = ("".join(random.choices(CHARACTERS, k=random.choice((0, 0, 1, 3, 12)))) for _ in range(60))
    return "".join(line + random.choice((ends, ends, ends + ends)) for line in lines) + random.choice(("", "end"))


def read(extent: extents.Extent) -> Iterator[str]:
    """Its documents: the records that are not blank."""
    return (one for one in extents.read(extent) if one.strip())


def cut(path: Path, size: int, **settings: Any) -> list[extents.Extent]:
    total = path.stat().st_size
    whole = Source("a", str(path), **settings)
    return [extents.Extent(whole, str(path), start, min(start + size, total)) for start in range(0, total, size)]


@pytest.mark.parametrize("unit", ["line", "paragraph"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["unix", "dos"])
def test_text_may_be_cut_anywhere(tmp_path: Path, unit: Any, ends: str) -> None:
    path = tmp_path / "a.txt"
    for seed in range(8):
        path.write_bytes(text(Random(seed), ends).encode())
        # Those of `datasets` as a whole; it keeps line ends that the extents leave out.
        expected = [row["text"].strip("\r\n") for row in read_files(str(path), "data", unit)]
        for size in (1, 7, 20, 33, 10_000):
            found = [one for extent in cut(path, size, unit=unit) for one in read(extent)]
            assert [one.replace("\r\n", "\n") for one in found] == [one for one in expected if one.strip()], (
                seed,
                size,
            )


def test_json_lines_may_be_cut_anywhere(tmp_path: Path) -> None:
    random, path = Random(0), tmp_path / "a.jsonl"
    expected = [f"{i}" + "é\n" * random.randrange(20) for i in range(50)]
    lines = [json.dumps({"text": one, "n": i}, ensure_ascii=i % 2 == 0) for i, one in enumerate(expected)]
    path.write_text("\n\n".join(lines))
    for size in (1, 10, 100, 10_000):
        assert [one for extent in cut(path, size) for one in read(extent)] == expected


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.tsv", "a.parquet", "a.jsonl", "a.jsonl.gz", "a.txt.gz", "a.md"])
def test_every_format_gives_the_same_documents(tmp_path: Path, name: str) -> None:
    path, expected = tmp_path / name, [f"document {i}" for i in range(300)]
    mark = "\t" if "tsv" in name else ","
    forms = {
        "json": "".join(json.dumps({"text": one, "n": 1}) + "\n" for one in expected),
        "csv": "\n".join([f"text{mark}n", *(f"{one}{mark}1" for one in expected)]),
        "txt": "\n".join(expected),
    }
    body = forms["json" if "json" in name else "csv" if "sv" in name else "txt"].encode()
    if "parquet" in name:
        Dataset.from_dict({"text": expected, "n": [1] * 300}).to_parquet(str(path), batch_size=40)
    else:
        path.write_bytes(gzip.compress(body) if name.endswith("gz") else body)
    found = extents.extents([Source("a", str(path))])
    assert [one for extent in found for one in read(extent)] == expected
    assert len(found) == {"a.parquet": 8, "a.jsonl": 3}.get(name, len(found))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.txt", "a.csv", "a.parquet"])
def test_an_extent_may_be_read_in_parts(tmp_path: Path, name: str) -> None:
    path, expected = tmp_path / name, [f"document {i}" for i in range(50)]
    if "json" in name:
        body = "\n\n".join(json.dumps({"text": one}) for one in expected).encode()
        path.write_bytes(gzip.compress(body) if name.endswith("gz") else body)
    elif "parquet" in name:
        Dataset.from_dict({"text": expected}).to_parquet(str(path))
    else:
        path.write_text("\n".join([*(["text"] if "csv" in name else []), *expected]))
    extent = extents.Extent(Source("a", str(path)), str(path), 0, 1 if "parquet" in name else 0)
    for of in (1, 3, 60):
        assert [list(extents.read(extent, part, of)) for part in range(of)] == [
            expected[part::of] for part in range(of)
        ]


def test_units_of_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n\nthree\n")
    units: dict[Any, list[str]] = {"document": ["one\ntwo\n\nthree\n"], 5: ["one\nt", "wo\n\nt", "hree\n"]}
    for unit, expected in units.items():
        found = extents.extents([Source("a", str(tmp_path / "a.txt"), unit=unit)])
        assert [one for extent in found for one in read(extent)] == expected


def test_columns_may_be_put_together(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"title": "T", "body": "B"}) + "\n" + json.dumps({"title": None, "body": "C"}) + "\n")
    together = extents.extents([Source("a", str(path), text="{title}: {body}")])
    assert next(read(together[0])) == "T: B"
    with pytest.raises(ValueError, match=r"data\.sources\.a\.text: row 0 .* no value in column `title`"):
        list(read(together[0]))
    assert list(read(extents.extents([Source("a", str(path), text="title")])[0])) == ["T"]
    with pytest.raises(ValueError, match=r"data\.sources\.a\.text: .*no column `bdy`; did you mean `body`"):
        list(read(extents.extents([Source("a", str(path), text="bdy")])[0]))


def test_globs_folders_and_their_absence(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.md"):
        (tmp_path / name).write_text(name)
    assert [Path(file).name for file in Source("a", str(tmp_path / "*.txt")).files("k")] == ["a.txt", "b.txt"]
    assert len(Source("a", str(tmp_path)).files("k")) == 3
    with pytest.raises(ValueError, match=r"k: no file matches .*\*\.csv"):
        Source("a", str(tmp_path / "*.csv")).files("k")


def test_a_data_set_of_the_hub_is_read_by_its_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load(*names: Any, **options: Any) -> Any:
        asked.append((names, options))
        return Dataset.from_dict({"text": [f"document {i}" for i in range(50)]}).to_iterable_dataset(num_shards=3)

    monkeypatch.setattr("datasets.load_dataset", load)
    found = extents.extents([Source("a", "owner/name", subset="en", split="all")])
    assert len(found) == 3
    assert [one for extent in found for one in read(extent)] == [f"document {i}" for i in range(50)]
    assert asked[0] == (("owner/name", "en"), {"split": "all", "streaming": True})


def test_a_data_set_that_the_hub_does_not_give_is_named() -> None:
    with pytest.raises(ValueError, match=r"data\.sources\.a: owner/nothing is neither a file here nor a data set"):
        extents.extents([Source("a", "owner/nothing")])


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", b'{"text": "x"}\n{oops\n'), ("a.txt", b"\xff\xfe"), ("a.jsonl.gz", b"no gzip")]
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"data\.sources\.a: .*{name}.* can't be read"):
        [list(read(extent)) for extent in extents.extents([Source("a", str(path))])]


def test_half_of_a_surrogate_pair_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a\\ud834"}\n{"text": "\\ud834\\udd1e"}\n')
    assert list(read(extents.Extent(Source("a", str(path)), str(path)))) == ["a\ufffd", "𝄞"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "name at least one"),
        ({"a": {"path": "x.txt", "wieght": 2}}, r"data\.sources\.a: .*`wieght`; did you mean `weight`"),
        ({"a.txt": "a.txt"}, r"data\.sources: `a\.txt` has a dot"),
        ({"a": {"weight": 2}}, r"data\.sources\.a: it needs `path`"),
        ({"a": {"path": "x.txt", "weight": 0}}, r"data\.sources\.a\.weight=0"),
    ],
)
def test_wrong_sources_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sources(given)
    assert source("a", "x.txt") == Source("a", "x.txt")
