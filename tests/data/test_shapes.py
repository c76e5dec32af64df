"""The forms of conversations: from files, recognised or mapped, to what encoders read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chats import called

from llmcycle.data.mixture import Mixture
from llmcycle.data.rows import Table
from llmcycle.data.shapes import SHAPES, convert, recognise

USER, BOT = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}


def one(row: dict[str, Any]) -> dict[str, Any]:
    return convert([row], recognise(row), "data.train")[0]


def test_chat() -> None:
    assert one({"messages": [USER, BOT], "id": 1}) == {"prompt": [USER], "completion": "A", "id": 1}
    assert one({"messages": [USER, BOT, USER]})["completion"] == "A"
    assert one({"messages": json.dumps([USER, BOT])})["prompt"] == [USER], "a column of a CSV file"
    parts = {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    assert one({"messages": [parts, BOT]})["prompt"] == [{"role": "user", "content": "ab"}]
    system = {"role": "system", "content": "Be brief."}
    assert one({"messages": [USER, BOT], "system": "Be brief."})["prompt"] == [system, USER]
    with pytest.raises(ValueError, match="assistant"):
        one({"messages": [BOT, USER]})


def test_sharegpt() -> None:
    calls = [
        {"from": "system", "value": "S"},
        {"from": "human", "value": "Q"},
        {"from": "function_call", "value": '{"name": "f", "arguments": "{\\"x\\": 1}"}'},
        {"from": "observation", "value": "17"},
        {"from": "gpt", "value": "A"},
    ]
    row = one({"conversations": calls, "tools": json.dumps([{"name": "f", "parameters": {}}])})
    assert [message["role"] for message in row["prompt"]] == ["system", "user", "assistant", "tool"]
    assert row["prompt"][2]["tool_calls"] == [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]
    assert row["prompt"][3]["content"] == "17"
    assert (row["completion"], row["tools"]) == ("A", [{"name": "f", "parameters": {}}])


def test_alpaca() -> None:
    assert one({"instruction": "I", "input": "x", "output": "A"}) == {"prompt": "I\nx", "completion": "A"}
    row = one({"instruction": "I", "input": None, "output": "A", "history": [["Q", "A"]]})
    assert row["prompt"] == [USER, BOT, {"role": "user", "content": "I"}]


def test_preferences() -> None:
    other = {"role": "assistant", "content": "B"}
    expected = {"prompt": [USER], "chosen": "A", "rejected": "B"}
    assert one({"prompt": "Q", "chosen": "A", "rejected": "B"}) == {**expected, "prompt": "Q"}
    assert one({"chosen": [USER, BOT], "rejected": [USER, other]}) == expected
    assert one({"prompt": "Q", "chosen": [USER, BOT], "rejected": [USER, other]}) == expected
    assert one({"prompt": [USER], "chosen": [BOT], "rejected": other}) == expected
    talk = [{"from": "human", "value": "Q"}]
    answers = {"chosen": {"from": "gpt", "value": "A"}, "rejected": {"from": "gpt", "value": "B"}}
    assert one({"conversations": talk, **answers}) == expected
    assert one({"prompt": talk, "chosen": "A", "rejected": "B"}) == expected
    long = [USER, BOT, USER]
    assert one({"chosen": [*long, BOT], "rejected": [*long, other, USER, BOT]}) == {
        "prompt": long,
        "chosen": "A",
        "rejected": [other, USER, BOT],
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "Q", "chosen": "A", "rejected": None}, "`rejected` is null"),
        ({"chosen": [BOT], "rejected": [BOT]}, "it has no prompt"),
        ({"prompt": "Other?", "chosen": [USER, BOT], "rejected": [USER, BOT]}, "other turns than the prompt"),
        ({"chosen": [USER, USER], "rejected": [USER, BOT]}, "does not go on with the assistant"),
    ],
)
def test_preferences_that_say_nothing_are_refused(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        one(row)


def test_the_weight_of_a_turn_says_whether_it_is_learnt() -> None:
    bad, good = {**BOT, "content": "bad", "weight": 0}, {**BOT, "content": "good", "weight": 1}
    assert one({"messages": [USER, bad, USER, good]}) == {
        "prompt": [USER, {"role": "assistant", "content": "bad", "train": False}, USER],
        "completion": "good",
    }
    assert one({"messages": [USER, good, USER, bad]})["completion"] == "good", "the last turn that is learnt"
    with pytest.raises(ValueError, match="the `weight` of each is 0"):
        one({"messages": [USER, bad]})
    with pytest.raises(ValueError, match=r"0 or 1 is needed, not 0\.5"):
        one({"messages": [USER, {**BOT, "weight": 0.5}]})


def test_a_call_stays_whole_as_an_answer() -> None:
    row = called()
    asked = one({"messages": row["prompt"][:2], "tools": row["tools"]})
    assert asked["completion"] == row["prompt"][1:2]
    assert asked["tools"] == row["tools"]


def test_what_is_no_conversation_is_left_alone() -> None:
    for row in ({"text": "a"}, {"chosen": "Human: b", "rejected": "Human: c"}, {"prompt": "a", "choices": ["b"]}):
        assert recognise(row) is None
        assert one(row) == row


def written(folder: Path, name: str, *rows: dict[str, Any]) -> str:
    (folder / name).write_text("\n".join(map(json.dumps, rows)))
    return str(folder / name)


def test_a_file_says_its_form_by_its_columns(tmp_path: Path) -> None:
    table = Table(written(tmp_path, "a.jsonl", {"instruction": "I", "output": "A"}))
    assert table.train == [{"prompt": "I", "completion": "A"}]
    assert table.recognised == {"train": "alpaca"}
    mapped = Table(
        written(tmp_path, "b.jsonl", {"ask": "I", "say": "A"}), columns={"instruction": "ask", "output": "say"}
    )
    assert mapped.train[0]["completion"] == "A"
    assert mapped.recognised == {"train": "alpaca"}


def test_calls_of_several_functions_survive_a_file(tmp_path: Path) -> None:
    """Arrow would give every call the arguments of all the others, as null."""
    first, second = called(), called()
    second["prompt"][1]["tool_calls"][0]["function"] = {"name": "add", "arguments": {"a": 1, "b": None}}
    rows = [{"messages": [*row["prompt"], BOT], "tools": row["tools"]} for row in (first, second)]
    read = Table(written(tmp_path, "a.jsonl", *rows)).train
    assert [row["prompt"][1]["tool_calls"] for row in read] == [
        row["prompt"][1]["tool_calls"] for row in (first, second)
    ]
    assert [row["tools"] for row in read] == [first["tools"]] * 2


def test_a_file_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", {"messages": [USER]})
    with pytest.raises(ValueError, match=r"data\.train: row 0 .*no message of the assistant"):
        Table.preflight(train=path)
    with pytest.raises(ValueError, match=r"data\.shape=shargpt.*did you mean `sharegpt`"):
        Table.preflight(train=path, shape="shargpt")
    with pytest.raises(ValueError, match=r"no `instruction`, which rows of the form `alpaca` need; it has messages"):
        Table.preflight(train=path, shape="alpaca")
    Table.preflight(train=path, shape="none")


@pytest.mark.parametrize("shape", SHAPES)
def test_no_row_of_a_form_changes_the_data(shape: str) -> None:
    rows = {
        "prompt_completion": {"prompt": [USER], "completion": "A", "tools": None},
        "chat": {"messages": [USER, BOT]},
        "sharegpt": {"conversation": [{"from": "user", "value": "Q"}, {"from": "bot", "value": "A"}]},
        "alpaca": {"instruction": "Q", "output": "A"},
        "preference": {"chosen": [USER, BOT], "rejected": [USER, {**BOT, "content": "B"}]},
    }
    before = json.dumps(rows[shape])
    assert one(rows[shape]).items() >= {"completion" if shape != "preference" else "chosen": "A"}.items()
    assert json.dumps(rows[shape]) == before


class Shop:
    def __init__(self) -> None:
        self.train = [{"prompt": str(i)} for i in range(10)]
        self.validation = [{"prompt": "v"}]


def test_weights_of_a_mixture() -> None:
    mixed = Mixture({"a": Shop(), "b": Shop()}, {"a": 0, "b": 1.3}, seed=1)
    assert len(mixed.train) == 13
    assert mixed.validation == [{"prompt": "v", "source": "b"}]
    other = Mixture({"b": Shop(), "c": Shop()}, {"b": 1.3}, seed=1)
    assert other.train[:13] == mixed.train, "a source keeps its rows beside others"
    assert Mixture({"b": Shop()}, {"b": 0.3}, seed=2).train != Mixture({"b": Shop()}, {"b": 0.3}, seed=3).train


@pytest.mark.parametrize(
    ("sources", "weights", "reason"),
    [
        ({"seed": 0}, {}, "every source is missing"),
        ({"math": {}}, {"mth": 1}, "did you mean `math`"),
        ({"math": {}}, {"math": -1}, "a number from 0 on"),
        ({"math": {}}, {"math": 0}, "all are 0"),
    ],
)
def test_mixtures_that_mean_nothing(sources: dict[str, Any], weights: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Mixture.preflight(sources, weights)
