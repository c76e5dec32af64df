"""Labels come in, are kept, taken back, and become rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from feedback.conftest import ANN, BOB, items

from llmcycle.feedback.desk import LABELS, Desk, Refused
from llmcycle.feedback.items import Item

Open = Callable[..., Desk]


def rows(desk: Desk, name: str) -> list[dict[str, Any]]:
    path = desk.folder / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def answer(desk: Desk, name: str, value: Any) -> Item:
    """Label the next item; gives it."""
    shown = desk.next(name)
    assert shown is not None
    desk.label(name, shown.item.id, value, 2.0)
    return shown.item


def test_a_choice_is_of_the_answer_that_stood_there(desk: Desk) -> None:
    for place in (0, 1, 1):
        shown = desk.next(ANN)
        assert shown is not None
        label = desk.label(ANN, shown.item.id, place)
        assert shown.item.answers[int(label.value or 0)] == shown.answers[place]
        row = rows(desk, "preferences")[-1]
        assert (row["prompt"], row["chosen"], row["rejected"]) == (
            *(shown.item.prompt, shown.answers[place]),
            shown.answers[1 - place],
        )
        assert row["chosen_source"] == shown.item.sources[shown.order[place]]
        assert {"annotator": ANN, "item": shown.item.id, "task": "choice"}.items() <= row.items()
        assert row["time"].endswith("+00:00")


def test_orders_are_drawn_for_each_item_and_annotator(open_desk: Open) -> None:
    desk = open_desk("choice", items(200))
    orders = {name: [desk.order(name, item) for item in desk.items] for name in (ANN, BOB)}
    for name in (ANN, BOB):
        assert 70 < sum(order == (0, 1) for order in orders[name]) < 130
    assert 70 < sum(x == y for x, y in zip(orders[ANN], orders[BOB], strict=True)) < 130
    assert orders[ANN] == [open_desk("choice", items(200)).order(ANN, item) for item in items(200)]


def test_ties_skips_and_gold_questions_make_no_row_and_are_kept(desk: Desk) -> None:
    for value in ("tie", None, 0, 1):
        answer(desk, ANN, value)
    assert desk.next(ANN) is None
    assert [row["prompt"] for row in rows(desk, "preferences")] == ["question 2"]
    events = [json.loads(line) for line in (desk.folder / LABELS).read_text().splitlines()]
    assert [event["value"] for event in events][:2] == ["tie", None]
    assert [event["order"] for event in events] == [list(desk.order(ANN, item)) for item in desk.items]


def test_annotators_have_their_own_place(desk: Desk) -> None:
    assert answer(desk, ANN, 0) == answer(desk, BOB, 1) == desk.items[0]
    assert answer(desk, ANN, 0) == desk.items[1]
    assert len(desk.labels.of(ANN)) == 2
    assert len(desk.labels.of(BOB)) == 1


def test_an_undo_takes_the_last_label_back_for_good(open_desk: Open) -> None:
    desk = open_desk()
    assert desk.undo(ANN) is None
    answer(desk, ANN, 0)
    answer(desk, BOB, 0)
    second = answer(desk, ANN, 0)
    undone = desk.undo(ANN)
    assert undone is not None
    assert undone.item == second.id
    assert len(rows(desk, "preferences")) == 2
    again = open_desk()
    shown = again.next(ANN)
    assert shown is not None
    assert shown.item == second
    answer(again, ANN, 1)
    assert len(rows(again, "preferences")) == 3
    assert len((again.folder / LABELS).read_text().splitlines()) == 5  # nothing that was said is taken out of the file


def test_the_next_start_goes_on_and_writes_rows_that_a_kill_had_lost(open_desk: Open, tmp_path: Path) -> None:
    desk = open_desk()
    for value in (0, 1):
        answer(desk, ANN, value)
    before = rows(desk, "preferences")
    (tmp_path / "preferences.jsonl").write_text(json.dumps(before[0]) + '\n{"prompt": "ques')
    assert rows(open_desk(), "preferences") == before


def test_ratings_and_edits_become_rows(open_desk: Open, tmp_path: Path) -> None:
    desk = open_desk("rating")
    rated = answer(desk, ANN, 4)
    assert [(r["prompt"], r["completion"], r["rating"]) for r in rows(desk, "ratings")] == [
        (rated.prompt, rated.answers[0], 4)
    ]
    (tmp_path / LABELS).unlink()
    desk = open_desk("edit")
    first, second = answer(desk, ANN, "better\n"), answer(desk, ANN, "answer 0 to 1")
    assert [(r["completion"], r["original"]) for r in rows(desk, "edits")] == [
        ("better\n", first.answers[0]),
        ("answer 0 to 1", second.answers[0]),
    ]
    (pair,) = rows(desk, "preferences")  # an answer that was left as it is, is no better than itself
    assert (pair["chosen"], pair["rejected"], pair["chosen_source"]) == ("better\n", first.answers[0], "edit by ann")


@pytest.mark.parametrize(
    ("task", "value"),
    [
        *(("choice", value) for value in (2, -1, "0", "", "left", 0.5, [])),
        *(("rating", value) for value in (0, 6, 2.5, "3", "tie", float("nan"))),
        *(("edit", value) for value in ("", "  \n", 1, "\ud800", "x" * 100_001)),
    ],
)
def test_what_is_no_answer_is_refused_and_nothing_is_kept(open_desk: Open, task: str, value: Any) -> None:
    desk = open_desk(task)
    with pytest.raises(Refused, match="no answer to this task"):
        answer(desk, ANN, value)
    assert (desk.folder / LABELS).read_text() == ""


def test_an_item_is_labelled_once_and_must_be_there(desk: Desk) -> None:
    item = answer(desk, ANN, 0)
    for which in (item.id, "elsewhere"):
        with pytest.raises(Refused, match="not waiting"):
            desk.label(ANN, which, 0)
    assert len(desk.labels.of(ANN)) == 1


def test_one_process_labels_in_a_folder(desk: Desk) -> None:
    with pytest.raises(ValueError, match=r"another `llmcycle feedback` is labelling(.|\n)*try: --out FOLDER"):
        Desk(desk.folder, items(), "choice")


def test_labels_of_other_items_are_refused(open_desk: Open) -> None:
    answer(open_desk(), ANN, 0)
    with pytest.raises(ValueError, match=r"which items.jsonl beside it does not have"):
        open_desk("choice", items()[1:])
