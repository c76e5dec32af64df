"""Rows of well-known data sets to the forms that encoders and evaluators read."""

from __future__ import annotations

import re

from llmcycle.data.chat import Message
from llmcycle.data.encode import Row

TURN = re.compile(r"\n\n(Human|Assistant):")
OPTION = re.compile(r"^\s*[A-Z]\.\s*", re.MULTILINE)


def final_answer(row: Row) -> Row:
    """GSM8K: adds `answer`, the number after "####" in `completion` (https://github.com/openai/grade-school-math)."""
    return {**row, "answer": row["completion"].rpartition("####")[2].strip().replace(",", "")}


def hh_dialogues(row: Row) -> Row:
    """HH-RLHF: two dialogues to the messages that they share, `chosen` and `rejected`: the answers in which they part.

    Raises:
        ValueError: a dialogue without turns, or one that parts in a turn of the user.
    """
    chosen, rejected = _turns(row["chosen"]), _turns(row["rejected"])
    pairs = zip(chosen, rejected, strict=False)
    part = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(chosen), len(rejected)) - 1)
    if part < 1 or chosen[part]["role"] == "user" or rejected[part]["role"] == "user":
        raise ValueError("the two dialogues must share their beginning and part in an answer of the assistant")
    return {"prompt": chosen[:part], "chosen": chosen[part]["content"], "rejected": rejected[part]["content"]}


def lettered_options(row: Row) -> Row:
    """Multiple choice in one text: `options` "A. ...\\nB. ..." and `answer`, one of them, to `choices` and `label`.

    Raises:
        ValueError: the answer is none of the options.
    """
    choices = [option.strip() for option in OPTION.split(row["options"]) if option.strip()]
    answer = OPTION.sub("", row["answer"]).strip()
    if answer not in choices:
        raise ValueError(f"the answer {answer!r} is none of its options")
    return {"prompt": row["prompt"], "choices": choices, "label": choices.index(answer)}


def true_answers(row: Row) -> Row:
    """TruthfulQA: the best of the `correct` answers as the completion; before the `incorrect` ones, where the rows have
    some, it is the right one of the choices (MC1 of https://github.com/sylinrl/TruthfulQA).

    Raises:
        ValueError: there is no correct answer.
    """
    correct, incorrect = (_texts(row.get(name)) for name in ("correct", "incorrect"))
    if not correct:
        raise ValueError("a row has one correct answer at least, and this one has none")
    written = {"prompt": row["prompt"], "completion": correct[0]}
    return {**written, "choices": [correct[0], *incorrect], "label": 0} if incorrect else written


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each.strip() for each in values if isinstance(each, str) and each.strip()]


def _turns(dialogue: str) -> list[Message]:
    roles = {"Human": "user", "Assistant": "assistant"}
    _, *parts = TURN.split(dialogue)
    if not parts:
        raise ValueError('a dialogue consists of "\\n\\nHuman:" and "\\n\\nAssistant:" turns, and this text has none')
    return [{"role": roles[name], "content": text.strip()} for name, text in zip(parts[::2], parts[1::2], strict=True)]
