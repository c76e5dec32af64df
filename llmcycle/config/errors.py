"""The one error users of recipes see: what, where, why and what to type instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import indent

from llmcycle.printable import printable


class ConfigError(ValueError):
    """A recipe, override or input that is refused before anything is built.

    Args:
        key: the dotted key, option or file at fault, as the user would type it.
        reason: why it is refused, in one sentence.
        remedy: what to type or change; "" when there is nothing better to say than the reason.
    """

    def __init__(self, key: str, reason: str, remedy: str = "") -> None:
        self.key, self.reason, self.remedy = key, reason, remedy
        super().__init__(f"{key}: {reason}" + (f"\n  try: {remedy}" if remedy else ""))


class RecipeErrors(ConfigError):
    """Every problem found in one recipe, so that a user mends them in one go."""

    def __init__(self, errors: list[ConfigError]) -> None:
        self.errors = errors
        super().__init__(errors[0].key, errors[0].reason, errors[0].remedy)

    def __str__(self) -> str:
        shown = self.errors[:4]
        more = [f"... and {len(self.errors) - len(shown)} more"] if len(self.errors) > len(shown) else []
        return "\n".join([str(error) for error in shown] + more)


def nearest(name: str, candidates: Iterable[str], cutoff: float = 60.0) -> str | None:
    """The candidate most like `name` (0 to 100 by rapidfuzz's ratio, cases being equal), or None when none is close."""
    from rapidfuzz import fuzz, process

    known = list(dict.fromkeys(candidates))
    match = process.extractOne(name, known, scorer=fuzz.ratio, processor=str.lower, score_cutoff=cutoff)
    return match[0] if match else None


def alike(name: str, artifacts: Sequence[str]) -> list[str]:
    """The artifacts, by `name-id`, that a mistyped one may have meant: the nearest, else those of its stage.

    As much of an id as was typed is compared with as much of each; [] where nothing is near.
    """
    stage, dash, id = name.rpartition("-")
    stages = {each.rpartition("-")[0] for each in artifacts}
    if meant := nearest(name, stages, cutoff=80):
        return [each for each in artifacts if each.rpartition("-")[0] == meant]
    own = [each for each in artifacts if dash and each.rpartition("-")[0] == nearest(stage, stages, cutoff=80)]
    begin = {each: each.rpartition("-")[2][: len(id)] for each in own or artifacts}
    near = nearest(id, begin.values())
    return [each for each in begin if begin[each] == near] or own


def choose(name: str, candidates: Iterable[str]) -> str:
    """A remedy for a mistyped `name`: the nearest candidate if there is one, else the whole choice."""
    candidates = sorted(set(candidates))
    near = nearest(name, candidates)
    return near if near else "one of: " + ", ".join(candidates)


def render(error: BaseException) -> str:
    """At most ten lines for a terminal."""
    lines = printable(indent(str(error), "  ").strip()).splitlines()
    return "\n".join([f"llmcycle: {lines[0] if lines else type(error).__name__}", *lines[1:10]])
