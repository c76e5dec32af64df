"""The rules: what each forbids, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from llmcycle.data.audit.answers import answer_parts, compare, learnt_messages
from llmcycle.data.audit.sequences import Sequences
from llmcycle.data.audit.turns import lost_turns
from llmcycle.data.audit.vocabulary import Vocabulary

Places = Sequence[int]
Found = Iterator[tuple[str, int, str]]  # (rule, sequence, what was found there)
Check = Callable[[Places], Found]


class Rule(NamedTuple):
    """One thing that must not be.

    Args:
        reason: what is wrong with the rows, following "rows".
        remedy: what to change.
    """

    reason: str
    remedy: str


RULES = {
    "max_length": Rule(
        "are longer than `encode.max_length` allows",
        "raise `encode.max_length`, or say by `encode.truncation` what becomes of them: drop, keep_end or keep_start",
    ),
    "truncated": Rule(
        "lost a part of their answer when they were cut",
        "raise `encode.max_length`, or set `encode.truncation=keep_end`, which cuts the prompt, or `drop`",
    ),
    "labels": Rule(
        "have no token to learn from",
        "give them an answer, and look where the chat template has its {% generation %} markers",
    ),
    "shifted": Rule(
        "have labels that are not their own tokens",
        "labels are input_ids, or -100; models shift them themselves",
    ),
    "equal": Rule(
        "have a chosen and a rejected answer that are the same tokens, so there is nothing to prefer",
        "take them out, or look whether both columns are mapped to the same one",
    ),
    "empty": Rule("have an empty answer", "leave them out, or write an answer"),
    "answer": Rule(
        "don't learn the answer that the data give",
        "the chat template drops a part of it, or marks another turn as the assistant's: set another `chat_template`",
    ),
    "prompt": Rule(
        "learn something besides the answer",
        "the chat template marks more than the assistant's words as its own: set another `chat_template`",
    ),
    "end_token": Rule(
        "don't learn to end their answer",
        "the chat template, or its {% generation %} markers, must end every turn of the assistant with the end token",
    ),
    "pad_token": Rule(
        "learn the token that pads batches, which code that finds padding by its id will ignore",
        "give the tokenizer a pad token of its own, as in `+tokenizer.pad_token=...`",
    ),
    "double_bos": Rule(
        "begin with two tokens for the beginning of a text",
        "take it out of the chat template, or out of the prompts",
    ),
    "turns": Rule(
        "say something that doesn't reach the model",
        "this chat template doesn't write it: set another `chat_template`, or take it out of the data",
    ),
    "shared": Rule(
        "for validation are trained on too",
        "take them out of one side; `data.holdout` splits a file so that none is on both",
    ),
}


def too_long(sequences: Sequences, places: Places, max_length: int) -> Found:
    """Rule `max_length`."""
    for place in places:
        length = len(sequences.examples[place]["input_ids"])
        if length > max_length:
            yield "max_length", place, f"{length} tokens, and encode.max_length={max_length}"


def truncated(sequences: Sequences, places: Places) -> Found:
    """Rule `truncated`."""
    for place in places:
        if sequences.examples[place].get("cut_labels"):
            yield "truncated", place, f"{sequences.examples[place]['cut_labels']} tokens of it"


def unlabelled(sequences: Sequences, places: Places) -> Found:
    """Rule `labels`."""
    yield from (("labels", place, "") for place in places if not sequences.runs[place])


def shifted(sequences: Sequences, places: Places) -> Found:
    """Rule `shifted`."""
    for place in places:
        ids, spans = sequences.examples[place]["input_ids"], sequences.runs[place]
        read = ids[slice(*spans[0])] if len(spans) == 1 else [token for span in spans for token in ids[slice(*span)]]
        if read != sequences.taught[place]:
            yield "shifted", place, ""


def equal(sequences: Sequences, places: Places) -> Found:
    """Rule `equal`: the two sequences of a pair follow each other."""
    for place in places:
        pair = sequences.examples[place : place + 2]
        same_row = sequences.rows[place : place + 2].count(sequences.rows[place]) == 2
        if same_row and pair[0]["input_ids"] == pair[1]["input_ids"]:
            yield "equal", place, ""


def empty(sequences: Sequences, places: Places) -> Found:
    """Rule `empty`."""
    assert sequences.exchanges is not None
    for place in places:
        exchange = sequences.exchanges[place]
        if isinstance(exchange.answer, str) and not exchange.every_turn:
            if not exchange.answer.strip():
                yield "empty", place, ""
        elif not all(answer_parts(message) for message in learnt_messages(exchange)):
            yield "empty", place, ""


def unended(sequences: Sequences, places: Places, vocabulary: Vocabulary) -> Found:
    """Rule `end_token`, for every turn of a row."""
    ends = vocabulary.ends
    for place in places:
        labels = sequences.examples[place]["labels"]
        for start, stop in sequences.runs[place]:
            if labels[stop - 1] not in ends and not _ended(labels[start:stop], vocabulary):
                yield "end_token", place, vocabulary.decode(labels[start:stop])[-30:]
                break


def _ended(learnt: list[int], vocabulary: Vocabulary) -> bool:
    """Whether an end token is the last but for blanks, as where a template counts its newline to the turn."""
    last = next((token for token in reversed(learnt) if not vocabulary.is_blank(token)), None)
    return last in vocabulary.ends


def padded(sequences: Sequences, places: Places, vocabulary: Vocabulary) -> Found:
    """Rule `pad_token`. Most data never have it, which the tokens that were read so far tell."""
    pad_token_id = vocabulary.tokenizer.pad_token_id
    for place in places if pad_token_id in vocabulary.texts else ():
        if pad_token_id in sequences.taught[place]:
            yield "pad_token", place, ""


def doubly_begun(sequences: Sequences, places: Places, bos_token_id: int | None) -> Found:
    """Rule `double_bos`."""
    twice = [bos_token_id] * 2
    for place in places if bos_token_id is not None else ():
        if sequences.examples[place]["input_ids"][:2] == twice:
            yield "double_bos", place, ""


def checks(sequences: Sequences, vocabulary: Vocabulary, max_length: int) -> list[Check]:
    """The rules that apply to these sequences, each as a function of the sequences not yet refused."""
    bos = vocabulary.tokenizer.bos_token_id
    if sequences.exchanges is None:  # packed text, of which no row is one sequence
        return [lambda places: unlabelled(sequences, places)] if sequences.learnt else []
    whole: list[Check] = [
        lambda places: too_long(sequences, places, max_length),
        lambda places: doubly_begun(sequences, places, bos),
        lambda places: lost_turns(sequences, places, vocabulary),
    ]
    if not sequences.learnt:
        return whole
    return [
        whole[0],
        lambda places: truncated(sequences, places),
        lambda places: unlabelled(sequences, places),
        lambda places: shifted(sequences, places),
        lambda places: equal(sequences, places),
        lambda places: empty(sequences, places),
        lambda places: compare(sequences, places, vocabulary),
        lambda places: unended(sequences, places, vocabulary),
        lambda places: padded(sequences, places, vocabulary),
        *whole[1:],
    ]
