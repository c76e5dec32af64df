"""The labels read back as text and compared with the answer: independent of how they were made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from llmcycle.data.audit.sequences import Sequences
from llmcycle.data.audit.vocabulary import BROKEN, WORD, Vocabulary
from llmcycle.data.chat import Message, as_messages
from llmcycle.data.encode import Exchange
from llmcycle.data.messages import calls, is_learnt, text

Places = Sequence[int]
TRIES = 64  # ways to place short answers in what is learnt before giving up


def learnt_messages(exchange: Exchange) -> list[Message]:
    """The assistant's messages that are learnt, an answer written as text among them."""
    if exchange.answer is None:
        return []
    earlier = as_messages(exchange.prompt) if exchange.every_turn else []
    answer = (
        [{"role": "assistant", "content": exchange.answer}] if isinstance(exchange.answer, str) else exchange.answer
    )
    return [message for message in (*earlier, *answer) if message["role"] == "assistant" and is_learnt(message)]


def answer_parts(message: Mapping[str, Any]) -> list[str]:
    """What must stand in the tokens of one message, in this order; of a call its name, for arguments vary in form."""
    said = [message.get("reasoning_content") or "", text(message), *(str(call["name"]) for call in calls(message))]
    return [part for part in (text.strip() for text in said) if part]


def wanted(exchange: Exchange) -> list[str]:
    """All that a row's labels must say."""
    if isinstance(exchange.answer, str) and not exchange.every_turn:
        return [exchange.answer.strip()]
    return [part for message in learnt_messages(exchange) for part in answer_parts(message)]


def compare(sequences: Sequences, places: Places, vocabulary: Vocabulary) -> Iterator[tuple[str, int, str]]:
    """(rule, sequence, what was found) of each sequence whose labels do not say the answer, or say more than that."""
    right: dict[tuple[str, ...], str] = {}  # what surrounds answers, and what is wrong with it
    assert sequences.exchanges is not None
    for place in places:
        exchange, learnt = sequences.exchanges[place], sequences.taught[place]
        parts, said = wanted(exchange), vocabulary.quick(learnt)
        around = surroundings(said, parts)
        if around is None:
            said = vocabulary.decode(learnt)
            parts = parts if surroundings(said, parts) else [vocabulary.written(part) for part in parts]
            around = surroundings(said, parts)
        if around is None:
            yield "answer", place, said
            continue
        if around not in right:
            right[around] = wrong(around, vocabulary, ())
        if right[around] and (extra := explained(said, parts, exchange, vocabulary)):
            yield "prompt", place, extra


def surroundings(said: str, parts: Sequence[str]) -> tuple[str, ...] | None:
    """What stands before, between and after the parts; None where they don't all stand there in this order."""
    around, done = [], 0
    for part in parts:
        start = said.find(part, done)
        if start < 0:
            return None
        around.append(said[done:start])
        done = start + len(part)
    return (*around, said[done:])


def explained(said: str, parts: Sequence[str], exchange: Exchange, vocabulary: Vocabulary) -> str:
    """What is learnt beside the answer; "" where it is the arguments of calls, or the answer stands elsewhere."""
    known = WORD.findall(
        json.dumps([calls(message) for message in learnt_messages(exchange)], ensure_ascii=False, default=str)
    )
    extras = [wrong(around, vocabulary, known) for around in islice(every_surroundings(said, parts), TRIES)]
    return extras[0] if all(extras) else ""


def every_surroundings(said: str, parts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """`surroundings` for every way to place the parts: a short one may stand in several places."""
    if not parts:
        yield (said,)
        return
    start = said.find(parts[0])
    while start >= 0:
        for rest in every_surroundings(said[start + len(parts[0]) :], parts[1:]):
            yield (said[:start], *rest)
        start = said.find(parts[0], start + 1)


def wrong(around: Sequence[str], vocabulary: Vocabulary, known: Sequence[str]) -> str:
    """The piece around answers that a model should not learn: the header of an answer, or words of the prompt."""
    header = vocabulary.generation_prompt
    begun, ended = WORD.findall(around[0]), WORD.findall(header)
    if begun and ended[-len(begun) :] == begun:
        return around[0]
    for piece in around:
        if (header and header in piece) or vocabulary.foreign_words(piece.replace(BROKEN, ""), known):
            return piece
    return ""
