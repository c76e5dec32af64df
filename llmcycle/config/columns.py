"""Rows against who reads them: columns that a data set has, and those that encoders, evaluators and rewards need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from . import asking
from .allow import qualified, resolve
from .errors import ConfigError
from .kinds import ENCODE, ROWS
from .parts import Part, other, part, parts, stated
from .rewards import rewards
from .stages import Stage

Columns = tuple[tuple[str, ...], ...]
# What a column is called in the data sets that people share.
ELSEWHERE = {
    "prompt": ("question", "instruction", "input", "query", "problem", "user"),
    "completion": ("answer", "output", "response", "solution", "target", "assistant"),
    "answer": ("completion", "output", "response", "solution", "target", "label"),
    "chosen": ("accepted", "preferred", "positive", "winner"),
    "rejected": ("dispreferred", "negative", "loser"),
    "choices": ("options", "endings"),
    "label": ("answer", "gold", "answer_index"),
    "text": ("content", "document", "body"),
    "rating": ("score", "stars", "overall", "reward", "helpfulness"),
    "steps": ("completions", "reasoning"),
    "labels": ("step_labels", "ratings"),
}
READS_TEXT = ("llmcycle.pretrain.stage.pretrain",)
RIGHT_ANSWER: Columns = (("prompt", "answer"), ("prompt", "completion"), ("prompt", "choices", "label"))


class Reader(NamedTuple):
    """Who reads rows: a name, the place where it is written, and the columns of which it needs one set."""

    name: str
    place: str
    need: Columns
    rows: Part | None


def check_columns(stage: Stage) -> Iterator[ConfigError]:
    """Rows have the columns that their readers need; rows that are on the Hub are not known."""
    seen: set[str] = set()
    everyone = [*readers(stage), *prompt_readers(stage)]
    for reader in everyone:
        have = stated(reader.rows.node, "rows_have") if reader.rows else None
        if reader.rows is None or have is None or suffice(have, reader):
            continue
        if reader.rows.place not in seen:
            seen.add(reader.rows.place)
            beside = [each for each in everyone if each.rows and each.rows.place == reader.rows.place]
            yield lacking(stage, reader, beside, *(source_without(stage, reader, reader.rows) or (reader.rows, have)))
    yield from check_world(stage)


def suffice(have: Sequence[str], reader: Reader) -> bool:
    """Whether columns are all that a reader needs."""
    return any(set(columns) <= set(have) for columns in reader.need)


def source_without(stage: Stage, reader: Reader, rows: Part) -> tuple[Part, tuple[str, ...]] | None:
    """Of rows from several data sets the first that lacks what a reader needs, with its columns."""
    for name in rows.node.get("sources") or ():
        source = part(stage, f"{rows.place}.sources.{name}")
        have = stated(source.node, "rows_have") if source else None
        if source and have is not None and not suffice(have, reader):
            return source, have
    return None


def readers(stage: Stage) -> Iterator[Reader]:
    """Encoder, evaluators, callbacks and rewards of a stage, and rows that are made from pairs."""
    rows, encode = part(stage, ROWS), part(stage, ENCODE)
    own: list[tuple[Part | None, Part | None]] = [(encode, rows)]
    own += [(rows, part(stage, f"{ROWS}.sources.{name}")) for name in rows.node.get("sources", ())] if rows else []
    own += [(evaluator, part(stage, f"{evaluator.place}.rows")) for evaluator in parts(stage, "evaluate")]
    own += [(callback, part(stage, f"{callback.place}.data")) for callback in parts(stage, "callbacks")]
    own += list(rewards(stage))  # after those that they are parts of
    for reader, data in own:
        if reader and (need := stated(reader.node, "rows_need")):
            yield Reader(reader.name, reader.place, need, data)


def prompt_readers(stage: Stage) -> Iterator[Reader]:
    """Stages that ask prompts: the prompt search with its templates and decoding strategies, and those that compare."""
    data, settings = part(stage, "stage.data"), stage.settled["stage"]
    if qualified(resolve(settings["_target_"], "")) in READS_TEXT:
        yield Reader("this stage", "stage", (("text",),), part(stage, ROWS))
    if data is None:
        return
    if "prompts" in settings:
        yield Reader("this stage", "stage", (("prompt",),), data)
    if "templates" not in settings:
        return
    yield Reader("this stage", "stage", RIGHT_ANSWER, data)
    shots = any(settings.get("shots") or ())
    for template in parts(stage, "stage.templates"):
        if need := stated(template.node, "rows_need", shots=shots):
            yield Reader(f"the template {template.place.rpartition('.')[2]}", template.place, need, data)
    for decoding in parts(stage, "stage.decodings"):
        if need := stated(decoding.node, "rows_need"):
            yield Reader(decoding.name, decoding.place, need, data)


def lacking(stage: Stage, reader: Reader, beside: Sequence[Reader], rows: Part, have: tuple[str, ...]) -> ConfigError:
    """The reason, and other rows, another reader, or a column to map.

    Args:
        beside: everyone who reads these rows; others that suit them all are named first.
    """

    def has(node: dict[str, Any]) -> bool:
        columns = stated(node, "rows_have")
        return columns is not None and suffice(columns, reader)

    def has_all(node: dict[str, Any]) -> bool:
        columns = stated(node, "rows_have")
        return columns is not None and all(suffice(columns, each) for each in beside)

    def reads(node: dict[str, Any]) -> bool:
        if reader.place == "stage":
            return set(stage.raw["stage"]) >= set(node) and node["_target_"] != stage.raw["stage"]["_target_"]
        needs = stated(node, "rows_need") or ((),)
        return asking.serves(stage, node) and any(set(names) <= set(have) for names in needs)

    nearest = min(reader.need, key=lambda names: len(set(names) - set(have)))
    absent = [name for name in nearest if name not in have]
    if "columns" in rows.node and not rows.node.get("transform"):  # which may drop what is mapped
        key, known = stage.dot(rows.place, "columns"), rows.node["columns"] or {}
        remedy = " ".join(f"{'' if name in known else '+'}{key}.{name}={likely(name, have)}" for name in absent)
    else:
        remedy = other(stage, (rows.place, has_all), (reader.place, reads), (rows.place, has))
    wanted = " or ".join(", ".join(names) for names in reader.need)
    reason = f"{reader.name} needs rows with {wanted}; these have {', '.join(have)}"
    return ConfigError(stage.dot(rows.place), reason, remedy)


def likely(name: str, have: Sequence[str]) -> str:
    """The column that is likely to hold what is called `name` here; `NAME` where none is."""
    return next((column for column in have if column.lower() in ELSEWHERE.get(name, ())), "NAME")


def check_world(stage: Stage) -> Iterator[ConfigError]:
    """A reward that knows a world judges answers to questions of that world."""

    def asks(node: dict[str, Any]) -> bool:
        return "world" in node and "prompt" in (stated(node, "rows_have") or ())

    for reward, rows in rewards(stage):
        if rows is None or "world" not in reward.node or rows.node.get("world") == reward.node["world"]:
            continue
        if "sources" in rows.node:
            continue  # of a mixture nothing is known
        remedy = other(stage, (rows.place, asks), (reward.place, lambda node: "world" not in node))
        reason = f"{reward.name} judges answers to questions of its own world, and {rows.name} asks others"
        yield ConfigError(stage.dot(reward.place), reason, remedy)
