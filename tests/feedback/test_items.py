"""Rows to items: pairs of different answers, gold questions, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmcycle.feedback.desk import mixed
from llmcycle.feedback.items import Item, gold_of, items_of, read, save


def test_all_pairs_of_different_answers_are_items_once() -> None:
    rows = [{"prompt": "p", "answers": ["a", "b", "a", "c"], "sources": ["m 1", "m 2", "n 1", "n 2"]}] * 2
    items = items_of(rows, "choice", "rows")
    assert [item.answers for item in items] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert items[1].sources == ("m 1", "n 2")
    assert len({item.id for item in items}) == 3
    assert [item.answers for item in items_of(rows, "rating", "rows")] == [("a",), ("b",), ("c",)]


def test_pairs_and_completions_of_a_file_are_items() -> None:
    rows = [{"prompt": "p", "chosen": "a", "rejected": "b"}, {"prompt": "q", "completion": "c"}]
    assert [item.sources for item in items_of(rows, "choice", "rows")] == [("chosen", "rejected")]
    assert [item.answers for item in items_of(rows, "edit", "rows")] == [("a",), ("b",), ("c",)]


@pytest.mark.parametrize(
    "row", [{"answers": ["a"]}, {"prompt": "p"}, {"prompt": "p", "answers": [1]}, {"prompt": "p", "answers": []}]
)
def test_a_row_without_answers_is_named(row: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"rows: row 1 \(counted from 0\)"):
        items_of([{"prompt": "p", "answers": ["a", "b"]}, row], "choice", "rows")


def test_gold_rows() -> None:
    (pair,) = gold_of([{"prompt": "p", "chosen": "a", "rejected": "b"}], "choice", "gold")
    (rated,) = gold_of([{"prompt": "p", "completion": "a", "rating": "4"}], "rating", "gold")
    assert (pair.answers[int(pair.gold or 0)], rated.gold) == ("a", 4.0)
    assert pair.id == items_of([{"prompt": "p", "answers": ["a", "b"]}], "choice", "rows")[0].id  # and tells nothing
    with pytest.raises(ValueError, match=r"row 0 .* no `rejected`"):
        gold_of([{"prompt": "p", "chosen": "a"}], "choice", "gold")
    with pytest.raises(ValueError, match="--task choice"):
        gold_of([], "edit", "gold")


def test_gold_questions_are_mixed_in_once() -> None:
    items = [Item(str(n), ("a", "b"), ("x", "y")) for n in range(20)]
    gold = [Item(str(n), ("a", "b"), ("x", "y"), 0.0) for n in (3, 30, 31)]
    found = mixed(items, [*gold, gold[0]], seed=0)
    assert sorted(int(str(item.prompt)) for item in found) == [*range(20), 30, 31]
    assert sum(item.gold is not None for item in found) == 3
    assert [item.prompt for item in found if item.gold is None] == [item.prompt for item in items if item.prompt != "3"]
    assert found != mixed(items, gold, seed=1)


def test_items_are_read_as_they_were_written(tmp_path: Path) -> None:
    items = [Item([{"role": "user", "content": "ä"}], ("a\n", "b"), ("x", "y")), Item("p", ("a",), ("x",), 3.0)]
    save(items, tmp_path / "items.jsonl")
    assert read(tmp_path / "items.jsonl") == items
