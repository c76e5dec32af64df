"""Whether everything that a conversation says reaches the model."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence

from llmcycle.data.audit.answers import answer_parts
from llmcycle.data.audit.sequences import Sequences
from llmcycle.data.audit.vocabulary import Vocabulary
from llmcycle.data.chat import as_messages
from llmcycle.data.encode import Exchange
from llmcycle.data.messages import functions

PLAIN = frozenset({"text"})


def lost_turns(sequences: Sequences, places: Sequence[int], vocabulary: Vocabulary) -> Iterator[tuple[str, int, str]]:
    """(rule, sequence, who is not heard) of each sequence that lacks a turn.

    Templates treat turns by role, place and form, so one conversation of each kind is read first, and the others only
    where one of those was found wanting.
    """
    assert sequences.exchanges is not None
    for place in places:
        new = kinds(sequences.exchanges[place]) - vocabulary.heard
        if (new or vocabulary.deaf) and (who := lost(sequences, place, vocabulary)):
            vocabulary.deaf = True
            yield "turns", place, who
        vocabulary.heard |= new


def kinds(exchange: Exchange) -> frozenset[Hashable]:
    """What a template could make a difference by."""
    if isinstance(exchange.prompt, str):
        return PLAIN
    answer = [] if exchange.answer is None or isinstance(exchange.answer, str) else exchange.answer
    prompt = [*exchange.prompt, *answer]
    roles = [None, *(message["role"] for message in prompt)]
    forms = [(type(message.get("content")), bool(message.get("tool_calls"))) for message in prompt]
    return frozenset([*zip(roles, roles[1:], forms, strict=False), len(prompt), ("tools", bool(exchange.tools))])


def lost(sequences: Sequences, place: int, vocabulary: Vocabulary) -> str:
    """Who says something in a row that its tokens don't; "" for nobody. Rows that were cut have lost it knowingly."""
    example, exchange = sequences.examples[place], (sequences.exchanges or [])[place]
    if example.get("cut"):
        return ""
    heard, done = vocabulary.decode(example["input_ids"]), 0
    for message in as_messages(exchange.prompt):
        anywhere = message["role"] in ("system", "developer")  # some templates put these before the last question
        for part in answer_parts(message):
            start = _place(part, heard, 0 if anywhere else done, vocabulary)
            if start < 0:
                return f"the turn of `{message['role']}`"
            done = done if anywhere else start
    for tool in functions(exchange.tools):
        name = str(tool.get("function", tool)["name"])
        if name not in heard:
            return f"the function `{name}` in `tools`"
    return ""


def _place(part: str, heard: str, start: int, vocabulary: Vocabulary) -> int:
    """Where a text stands from `start` on; -1 for nowhere."""
    return next((at for way in _ways(part, vocabulary) if (at := heard.find(way, start)) >= 0), -1)


def _ways(part: str, vocabulary: Vocabulary) -> Iterator[str]:
    """A text as it is, as JSON, and as this vocabulary writes it."""
    yield part
    yield json.dumps(part, ensure_ascii=False)[1:-1]
    yield vocabulary.written(part)
