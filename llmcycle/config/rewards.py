"""The rewards of a stage: what stands where an objective, an evaluator or a callback states that it takes one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from .allow import resolve
from .annotations import members, parameter_types
from .kinds import ROWS
from .parts import Part, part, parts
from .stages import Stage

REWARD = "llmcycle.evaluate.reward.Reward"


def rewards(stage: Stage) -> Iterator[tuple[Part, Part | None]]:
    """Each once, with the rows that it sees answers to, which an evaluator or a callback may have of its own."""
    seen: set[str] = set()
    own = part(stage, ROWS) or part(stage, "stage.data")
    evaluators = [f"evaluate.{name}" for name in stage.settled.get("evaluate") or {}]
    callbacks = [f"callbacks.{name}" for name in stage.settled.get("callbacks") or {}]
    for place in ("stage.module.objective", *evaluators, *callbacks):
        if (asker := part(stage, place)) is None:
            continue
        rows = part(stage, f"{place}.rows") or part(stage, f"{place}.data") or own
        for argument, annotation in parameter_types(asker.target).items():
            if takes_reward(annotation):
                new = [each for each in parts(stage, f"{place}.{argument}") if each.place not in seen]
                seen |= {each.place for each in new}
                yield from ((each, rows) for each in new)


def takes_reward(annotation: object) -> bool:
    """Whether a parameter is given a reward, or some by name."""
    reward = resolve(REWARD, "")
    return any(kind is reward or reward in get_args(kind) for kind in members(annotation))
