"""The verb from end to end: models or files in, labels, rows, and a next command that works as it is printed."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from conftest import save_chatting
from toy import command

from llmcycle.feedback import Settings
from llmcycle.feedback.start import make_items, prepared

PAIRS = [{"prompt": f"What is {n} and {n}?", "chosen": f"It is {2 * n}.", "rejected": "No."} for n in range(12)]


def lines(path: str, rows: list[dict[str, Any]]) -> str:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def typed(words: list[str], keys: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What `llmcycle feedback WORDS` says where `keys` are the lines that are typed."""
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{key}\n" for key in keys)))
    code = command("feedback", *words)
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out


def next_command(said: str) -> list[str]:
    (line,) = [line for line in said.splitlines() if line.startswith("next: ")]
    return shlex.split(line.removeprefix("next: llmcycle "))


def test_a_few_rows_are_not_scored_on_and_the_next_command_passes_its_check(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_chatting(here / "ID")
    said = typed(["--rows", lines("pairs.jsonl", PAIRS), "--terminal"], "121q", monkeypatch, capsys)
    assert command("check", *next_command(said)) == 0, capsys.readouterr().err
    assert "~evaluate" in said
    assert "go on with: llmcycle feedback --out none" in typed(
        ["--rows", "pairs.jsonl", "--terminal", "--out", "none"], "0sq", monkeypatch, capsys
    )


@pytest.mark.slow
def test_models_are_asked_labelled_and_a_reward_model_learns_from_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_chatting(here / "model")
    prompts = lines("prompts.jsonl", [{"prompt": row["prompt"]} for row in PAIRS])
    gold = lines("gold.jsonl", PAIRS[:2])
    words = ["model", "--prompts", prompts, "--items", "6", "--max-tokens", "4", "--gold", gold, "--terminal"]
    said = typed([*words, "--annotators", "ann"], "11q", monkeypatch, capsys)
    assert "2 of 8 items" in said
    said = typed([*words, "--annotators", "ann"], "222222", monkeypatch, capsys)
    assert "--- 3 of 8 ---" in said
    assert "gold questions" in said
    said = typed([*words, "--annotators", "bob"], "12121212", monkeypatch, capsys)
    assert "Krippendorff's alpha" in said
    assert "feedback/preferences.jsonl: 12 rows" in said
    rows = [json.loads(line) for line in Path("feedback/preferences.jsonl").read_text().splitlines()]
    assert {row["chosen_source"] for row in rows} == {"model 1", "model 2"}
    small = ["trainer.max_steps=2", "trainer.accelerator=cpu", "batches.batch_size=4"]
    assert command(*next_command(said), *small) == 0, capsys.readouterr().err
    (reward,) = [path.parent.name for path in Path("outputs/artifacts").glob("reward-*/artifact.json")]
    capsys.readouterr()
    said = typed([*words, "--reward", reward, "--choose", "information", "--out", "more"], "1q", monkeypatch, capsys)
    assert "1 of 8 items" in said
    assert command("feedback", "--report", "--out", "feedback") == 0
    assert "Krippendorff's alpha" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("task", "keys"), [("rating", "12345" * 4), ("edit", ["e", "Two words.", "."] * 20)])
def test_ratings_and_edits_train_too(
    task: str, keys: Any, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_chatting(here / "ID")
    words = ["--rows", lines("pairs.jsonl", PAIRS), "--task", task, "--terminal", "--items", "20"]
    said = typed(words, keys, monkeypatch, capsys)
    recipe, *overrides = next_command(said)
    assert recipe == {"rating": "rating", "edit": "reward"}[task]
    small = ["trainer.max_steps=2", "batches.batch_size=4"]
    assert command(recipe, *overrides, *small) == 0, capsys.readouterr().err
    if task == "edit":
        edits = ["inputs.model=ID", "data=json", "data.train=feedback/edits.jsonl", "data.holdout=2"]
        assert command("finetune", *edits, *small, "tokenizer=chat") == 0, capsys.readouterr().err


def test_the_same_command_goes_on_and_another_is_refused(here: Path) -> None:
    settings = Settings(rows=lines("pairs.jsonl", PAIRS), count=5)
    items, _ = prepared(Path("fb"), settings)
    assert len(items) == 5
    assert prepared(Path("fb"), settings)[0] == items
    assert prepared(Path("fb"), Settings()) == (items, settings)
    with pytest.raises(ValueError, match=r"--out fb: .* count was 5 and is 6\n  try: --out fb-2"):
        prepared(Path("fb"), Settings(rows="pairs.jsonl", count=6))
    lines("pairs.jsonl", PAIRS[1:])
    with pytest.raises(ValueError, match="sha256 was"):
        prepared(Path("fb"), settings)
    with pytest.raises(ValueError, match=r"--out none: it has no items(.|\n)*try: llmcycle feedback ARTIFACT"):
        prepared(Path("none"), Settings())


def test_files_of_something_else_are_left_alone(here: Path) -> None:
    settings = Settings(rows=lines("pairs.jsonl", PAIRS))
    own = lines("preferences.jsonl", PAIRS)
    with pytest.raises(ValueError, match=r"has a preferences.jsonl and no items"):
        prepared(Path(own).parent, settings)
    assert len(Path(own).read_text().splitlines()) == len(PAIRS)


def test_what_cannot_be_labelled_is_refused_with_what_to_type(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = lines("same.jsonl", [{"prompt": "p", "answers": ["a", "a"]}])
    pairs = lines("pairs.jsonl", PAIRS)
    refusals = {
        ("--rows", same): "try: --samples 4",
        ("--rows", pairs, "--choose", "margin"): "try: --reward ARTIFACT",
        ("--rows", pairs, "--task", "edit", "--gold", pairs): "try: --task choice",
        ("--rows", "none.jsonl"): "--rows: ",
        ("--rows", pairs, "--annotators", "ann,ann"): "different names",
        ("--rows", pairs, "--stars", "1"): "from 2 to 9",
        ("--rows", pairs, "--temperature", "hot"): "from 0 to 10",
        ("nothing",): "there is no such folder",
        (): "try: llmcycle feedback ARTIFACT",
    }
    for words, reason in refusals.items():
        assert command("feedback", "--terminal", *words) == 2, words
        assert reason in capsys.readouterr().err, words


def test_a_file_can_hold_fewer_items_than_wanted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = make_items(Settings(rows=lines("pairs.jsonl", PAIRS), count=50, gold=lines("gold.jsonl", PAIRS[:3])))
    assert "12 items, where 50 were wanted" in capsys.readouterr().out
    assert len(items) == 12
    assert sum(item.gold is not None for item in items) == 3
