"""The forms in which data sets hold conversations, recognised by their columns and brought into one.

That one is `prompt`, a text or the messages before the last answer, `completion`, a text or that answer's message where
it calls functions, and `tools` where there are any. Preferences have `chosen` and `rejected` in the place of
`completion`. Encoders and evaluators read nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rapidfuzz import process

from llmcycle.data import messages as chat
from llmcycle.data.chat import Message, as_answer, as_messages
from llmcycle.data.encode import Row


class Shape(NamedTuple):
    """One form.

    Args:
        needs: columns that a row of it has; one of them, where they stand in a tuple.
        takes: columns that `convert` uses up.
        convert: a row's columns of `takes` to `prompt`, `completion` and perhaps `tools`.
    """

    needs: tuple[str | tuple[str, ...], ...]
    takes: tuple[str, ...]
    convert: Callable[[Row], Row]

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has the columns."""
        return all(any(name in row for name in _names(need)) for need in self.needs)


def recognise(row: Mapping[str, Any]) -> str | None:
    """The name in SHAPES of the first form whose columns a row has; None for rows that are no conversations."""
    if "chosen" in row:  # a pair of answers; two whole texts without a prompt are for a transform to take apart
        prompted = any(name in row for name in (*ASKED, "system"))
        return "preference" if prompted or not isinstance(row["chosen"], str) else None
    return next((name for name, shape in SHAPES.items() if shape.fits(row)), None)


def resolve(shape: str, row: Row) -> str | None:
    """The form to read rows in: as `shape` says, by `row` for "auto", None for "none".

    Raises:
        ValueError: there is no such form.
    """
    if shape in ("auto", "none"):
        return recognise(row) if shape == "auto" else None
    if shape not in SHAPES:
        near = process.extractOne(shape, [*SHAPES, "auto", "none"], score_cutoff=50)
        known = ", ".join(["auto", *SHAPES, "none"])
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"data.shape={shape}: it is none of {known}{hint}")
    return shape


def convert(rows: Sequence[Row], shape: str | None, key: str) -> list[Row]:
    """Rows of one form in the common one; other columns stay.

    Raises:
        ValueError: a row is not of this form; it is named.
    """
    return list(rows) if shape is None else [_converted(row, index, shape, key) for index, row in enumerate(rows)]


def _converted(row: Row, index: int, shape: str, key: str) -> Row:
    form = SHAPES[shape]
    try:
        for need in form.needs:
            if any(row.get(name) is not None for name in _names(need)):
                continue
            if empty := [name for name in _names(need) if name in row]:
                raise ValueError(f"its `{empty[0]}` is null (nothing is written there): write it, or take the row out")
            raise ValueError(
                f"it has no `{_names(need)[0]}`, which rows of the form `{shape}` need; it has "
                f"{', '.join(row)}. Map a column, as in "
                f"`data.columns.{_names(need)[0]}=NAME`, or say the form by `data.shape`"
            )
        rest = {name: value for name, value in row.items() if name not in form.takes}
        return {**rest, **form.convert(row)}
    except ValueError as error:
        raise ValueError(f"{key}: row {index} (counted from 0): {error}") from error


def _names(need: str | tuple[str, ...]) -> tuple[str, ...]:
    return (need,) if isinstance(need, str) else need


def _answered(messages: Sequence[Message], row: Row) -> Row:
    """A whole conversation to what was asked and what was answered."""
    prompt, answer = chat.split_at_answer(messages)
    plain = set(answer[0]) == {"role", "content"}
    tools = chat.functions(row.get("tools"))
    return {
        "prompt": prompt,
        "completion": answer[0]["content"] if plain else answer,
        **({"tools": tools} if tools else {}),
    }


def _pair(row: Row) -> Row:
    """Prompt and completion, each a text or messages."""
    prompt, completion = (_side(row[name], name) for name in ("prompt", "completion"))
    tools = chat.functions(row.get("tools"))
    if tools or _system(row):
        prompt = [*_system(row), *as_messages(prompt)]
    return {"prompt": prompt, "completion": completion, **({"tools": tools} if tools else {})}


def _side(value: object, name: str) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return chat.conversation(value, name)
    raise ValueError(f"`{name}` must be a text or a list of messages, found {chat.shown(value)}")


def _chat(row: Row) -> Row:
    return _answered([*_system(row), *chat.conversation(row["messages"], "messages")], row)


def _sharegpt(row: Row) -> Row:
    column = next(name for name in ("conversations", "conversation") if row.get(name) is not None)
    return _answered([*_system(row), *chat.conversation(row[column], column)], row)


def _alpaca(row: Row) -> Row:
    """Stanford's columns (https://github.com/tatsu-lab/stanford_alpaca), and LLaMA-Factory's `system` and `history`."""
    texts = [_written(row, name) for name in ("instruction", "input")]
    question = "\n".join(part for part in texts if part.strip())
    answer = _written(row, "output")
    if not question:
        raise ValueError("`instruction` and `input` are empty, so nothing is asked")
    history = [*_system(row), *_history(row.get("history") or [])]
    return {"prompt": [*history, _said("user", question)] if history else question, "completion": answer}


def _history(rounds: object) -> list[Message]:
    """Earlier rounds, each a question and its answer."""
    rounds = chat.parsed(rounds, "history")
    if not isinstance(rounds, list) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in rounds):
        raise ValueError(f"`history` must be a list of pairs of a question and its answer, found {chat.shown(rounds)}")
    return [_said(role, text) for pair in rounds for role, text in zip(("user", "assistant"), pair, strict=True)]


def _said(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _preference(row: Row) -> Row:
    """Prompt, chosen and rejected; of two whole conversations the turns that they share are the prompt."""
    prompt = _asked(row)
    sides = {name: _answer(row[name], name) for name in ("chosen", "rejected")}
    if any(isinstance(side, list) and side[0]["role"] != "assistant" for side in sides.values()):
        prompt, sides = _apart(prompt, sides)
    elif not prompt:
        raise ValueError(
            f"it has no prompt: neither {', '.join(ASKED)} nor a first turn that chosen and rejected share"
        )
    tools = chat.functions(row.get("tools"))
    if tools or _system(row):
        prompt = [*_system(row), *as_messages(prompt)]
    answers = {name: _as_text(side) for name, side in sides.items()}
    return {"prompt": prompt, **answers, **({"tools": tools} if tools else {})}


def _asked(row: Row) -> Any:
    """What comes before both answers; [] where no column says it."""
    column = next((name for name in ASKED if row.get(name) is not None), None)
    return [] if column is None else _side(row[column], column)


def _answer(value: object, name: str) -> Any:
    """A text, or messages; a single message stands for a list of one."""
    if not isinstance(value, str | list | dict):
        value = str(value)
    return value if isinstance(value, str) else chat.conversation(value if isinstance(value, list) else [value], name)


def _apart(prompt: Any, sides: Mapping[str, Any]) -> tuple[list[Message], dict[str, Any]]:
    """The turns that two whole conversations share, and what each says after them.

    Raises:
        ValueError: they share no turn, do not go on from the prompt, or end with nobody's answer.
    """
    talks = [as_answer(side) if isinstance(side, str) else side for side in sides.values()]
    most = min(map(len, talks)) - 1  # each ends with an answer of its own
    before = list(talks[0][: next((n for n in range(most) if talks[0][n] != talks[1][n]), most)])
    if prompt and as_messages(prompt) != before:
        raise ValueError(
            "`chosen` and `rejected` begin with other turns than the prompt: give the answers alone in them"
        )
    rest = {name: talk[len(before) :] for name, talk in zip(sides, talks, strict=True)}
    for name, turns in rest.items():
        if not before or [turn["role"] for turn in turns[:1]] != ["assistant"]:
            raise ValueError(f"`{name}` does not go on with the assistant after the turns that both share")
    return before, rest


def _as_text(side: Any) -> Any:
    """A lone plain message as its text."""
    plain = isinstance(side, list) and len(side) == 1 and set(side[0]) == {"role", "content"}
    return side[0]["content"] if plain else side


def _system(row: Row) -> list[Message]:
    """A system turn that has a column of its own."""
    text = _written(row, "system")
    return [_said("system", text)] if text.strip() else []


def _written(row: Row, name: str) -> str:
    value = row.get(name)
    if value is not None and not isinstance(value, str | int | float):
        raise ValueError(f"`{name}` must be a text, found {chat.shown(value)}")
    return "" if value is None else str(value)


ASKED = ("prompt", "conversations", "conversation", "messages")  # columns with what a pair of answers answers
AROUND = ("system", "tools")  # columns beside a conversation that belong to it
SHAPES = {
    "preference": Shape(("chosen", "rejected"), ("chosen", "rejected", *ASKED, *AROUND), _preference),
    "prompt_completion": Shape(("prompt", "completion"), AROUND, _pair),
    "chat": Shape(("messages",), ("messages", *AROUND), _chat),
    "sharegpt": Shape((("conversations", "conversation"),), ("conversations", "conversation", *AROUND), _sharegpt),
    "alpaca": Shape(("instruction", "output"), ("instruction", "input", "output", "system", "history"), _alpaca),
}
