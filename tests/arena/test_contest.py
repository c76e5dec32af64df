"""`llmcycle arena` through the command line, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import save_chatting
from toy import command

from llmcycle.arena.contest import rubric_of


@pytest.fixture
def models(here: Path) -> list[str]:
    for name, size in (("one", 16), ("two", 32)):
        save_chatting(here / name, hidden_size=size)
    return ["one", "two"]


def test_a_contest_leaves_a_table_and_files(models: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("asked.jsonl").write_text("".join(json.dumps({"prompt": f"What is {i}?"}) + "\n" for i in range(6)))
    words = ["--judge", "one", "--rubric", "storefront", "--prompts", "asked.jsonl", "--tokens", "4"]
    assert command("arena", *models, *words) == 0
    printed = capsys.readouterr().out
    assert "strength (nats) [95 %]" in printed
    (folder,) = Path("outputs/arena").glob("*")
    whole = json.loads((folder / "arena.json").read_text())
    rates = {line["name"]: line["win_rate"] for line in whole["standings"]}
    assert sum(rates.values()) == pytest.approx(1)
    assert whole["against"]["one"]["two"] == pytest.approx(rates["one"])
    lines = [json.loads(line) for line in (folder / "matches.jsonl").read_text().splitlines()]
    assert [line["prompt"] for line in lines] == [f"What is {i}?" for i in range(6)]
    assert set(lines[0]["answers"]) == {"one", "two"}
    assert "| one |" in (folder / "arena.md").read_text()
    assert len(Path("outputs/verdicts/verdicts.jsonl").read_text().splitlines()) > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["one"], "two different models or more"),
        (["one", "one"], "two different models or more"),
        (["one", "two", "--judge", "http://127.0.0.1:9/v1"], "what is the model"),
        (["one", "two", "--judge", "tow"], "there is no such folder"),
        (["one", "two", "--rubric", "none.yaml"], "there is no file none.yaml"),
        (["one", "two", "--prompts", "none.jsonl"], "there is no file none.jsonl"),
    ],
)
def test_what_cannot_be_played_is_refused_in_words(
    models: list[str], capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    own = [] if "--judge" in words else ["--judge", "one"]
    assert command("arena", *words, *own) == 2
    assert said in capsys.readouterr().err


def test_a_rubric_is_an_option_or_a_file(here: Path) -> None:
    Path("mine.yaml").write_text('single: "{answer} Good?"\nratings: {"yes": 1.0, "no": 0.0}\n')
    assert rubric_of("mine.yaml").rating("p", "x") == "> x Good?"
    assert "Is this answer good?" in rubric_of("storefront").rating("p", "x")
