"""The forms in which data sets hold conversations, recognised by their columns and brought into one.

That one is `prompt`, a text or the messages before the last answer, `completion`, a text or that answer's message where
it calls functions, and `tools` where there are any. Encoders and evaluators read nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from rapidfuzz import process

from llmcycle.data import messages as chat
from llmcycle.data.chat import Message, as_messages
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
    if "chosen" in row:  # a pair of answers, which has its own encoder
        return None
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
            if all(row.get(name) is None for name in _names(need)):
                raise ValueError(
                    f"it has no `{_names(need)[0]}`, which rows of the form `{shape}` need; it has "
                    f"{', '.join(name for name in row if row[name] is not None)}. Map a column, as in "
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


def _side(value: Any, name: str) -> Any:
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
    asked = [_written(row, name) for name in ("instruction", "input")]
    question = "\n".join(part for part in asked if part.strip())
    answer = _written(row, "output")
    if not question:
        raise ValueError("`instruction` and `input` are empty, so nothing is asked")
    history = [*_system(row), *_history(row.get("history") or [])]
    return {"prompt": [*history, _said("user", question)] if history else question, "completion": answer}


def _history(rounds: Any) -> list[Message]:
    """Earlier rounds, each a question and its answer."""
    rounds = chat.parsed(rounds, "history")
    if not isinstance(rounds, list) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in rounds):
        raise ValueError(f"`history` must be a list of pairs of a question and its answer, found {chat.shown(rounds)}")
    return [_said(role, one) for pair in rounds for role, one in zip(("user", "assistant"), pair, strict=True)]


def _said(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _system(row: Row) -> list[Message]:
    """A system turn that has a column of its own."""
    given = _written(row, "system")
    return [_said("system", given)] if given.strip() else []


def _written(row: Row, name: str) -> str:
    value = row.get(name)
    if value is not None and not isinstance(value, str | int | float):
        raise ValueError(f"`{name}` must be a text, found {chat.shown(value)}")
    return "" if value is None else str(value)


AROUND = ("system", "tools")  # columns beside a conversation that belong to it
SHAPES = {
    "prompt_completion": Shape(("prompt", "completion"), AROUND, _pair),
    "chat": Shape(("messages",), ("messages", *AROUND), _chat),
    "sharegpt": Shape((("conversations", "conversation"),), ("conversations", "conversation", *AROUND), _sharegpt),
    "alpaca": Shape(("instruction", "output"), ("instruction", "input", "output", "system", "history"), _alpaca),
}
