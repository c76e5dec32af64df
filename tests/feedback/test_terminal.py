"""Labels from lines, as in a pipe."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from feedback.conftest import ANN

from llmcycle.feedback.desk import Desk
from llmcycle.feedback.items import Item
from llmcycle.feedback.terminal import label_here

Open = Callable[..., Desk]


def typed(desk: Desk, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr("sys.stdin", StringIO(text))
    label_here(desk, ANN)
    return capsys.readouterr().out


def test_choices(desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said = typed(desk, "u\n1\n2\nu\nx\n0\ns\n2\n", monkeypatch, capsys)
    assert "there is nothing to take back" in said
    assert "'x' is no answer" in said
    assert said.endswith("all done\n")
    first, second, third, fourth = desk.labels.of(ANN).values()
    assert (first.value, second.value, third.value, fourth.value) == (first.order[0], "tie", None, fourth.order[1])
    left = desk.items[0].answers[first.order[0]]
    assert f"question 0\n\n[1] {left}\n\n[2] " in said


def test_ratings(open_desk: Open, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    desk = open_desk("rating")
    said = typed(desk, "9\n5\n1\nq\n3\n", monkeypatch, capsys)
    assert "1 (worst) to 5 (best)" in said
    assert [label.value for label in desk.labels.of(ANN).values()] == [5, 1]


def test_edits(open_desk: Open, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    desk = open_desk("edit")
    typed(desk, "what\n=\ne\nin two\n\nlines\n.\ne\n.\n", monkeypatch, capsys)
    assert [label.value for label in desk.labels.of(ANN).values()] == ["answer 0 to 0", "in two\n\nlines"]


def test_answers_cannot_move_the_cursor(
    open_desk: Open, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = open_desk("rating", [Item("\x1b[2J", ("\x1b]0;owned\x07\u202e",), ("a",))])
    said = typed(desk, "q\n", monkeypatch, capsys)
    assert not {"\x1b", "\x07", "\u202e"} & set(said)
