"""What an evaluator is, and how scores before and after a stage become metrics with intervals."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from llmcycle.evaluate.metric import Metrics
from llmcycle.evaluate.scores import Scores, change

if TYPE_CHECKING:  # the terminal table and the report read metrics without loading a model
    from llmcycle.engine import Engine


class Evaluator(Protocol):
    """Scores a model on rows of its own choosing; called before and after a stage, it must choose the same ones.

    A class attribute `needs: frozenset[str]` names what the engine must offer; without it any engine is asked.
    """

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """Scores by name."""
        ...


@runtime_checkable
class Limited(Evaluator, Protocol):
    """An evaluator that can be told to ask of its rows the first `limit` alone; None for all."""

    limit: int | None


def compare(before: Mapping[str, Scores] | None, after: Mapping[str, Scores]) -> Metrics:
    """One metric for each score of `after`, with a paired interval where `before` has it too.

    Raises ValueError if a score stands on other rows before than after.
    """
    for name, scores in after.items():
        if before and name in before:
            refuse_others(name, before[name], scores)
    return {name: change(before.get(name) if before else None, scores) for name, scores in after.items()}


def refuse_others(name: str, before: Scores, after: Scores) -> None:
    """ValueError unless both stand on the same rows."""
    if len(before.values) != len(after.values):
        counts = f"{len(before.values)} rows before and {len(after.values)} after"
        raise ValueError(f"scores: {name} stands on {counts}; an evaluator must keep its rows")
    if before.rows != after.rows:
        raise ValueError(f"scores: {name} stands on other rows before than after; an evaluator must keep its rows")


def evaluate(evaluators: Mapping[str, Evaluator], engine: Engine) -> dict[str, Scores]:
    """The scores of all evaluators.

    Raises:
        ValueError: the engine can't do what one of them needs, or two of them give the same name.
    """
    for name, evaluator in evaluators.items():
        refuse_unable(name, evaluator, engine)
    scores: dict[str, Scores] = {}
    for name, evaluator in evaluators.items():
        new = evaluator(engine)
        if double := sorted(scores.keys() & new.keys()):
            raise ValueError(
                f"evaluate.{name}: {', '.join(double)} is scored by another evaluator too; drop one of them"
            )
        scores |= new
    return scores


def refuse_unable(name: str, evaluator: Evaluator, engine: Engine) -> None:
    """ValueError unless the engine offers all that the evaluator needs."""
    needs: frozenset[str] = getattr(evaluator, "needs", frozenset())
    if missing := sorted(needs - engine.offers):
        able = ", ".join(sorted(engine.offers)) or "nothing"
        raise ValueError(
            f"evaluate.{name}: it needs {', '.join(missing)}, but this model's engine offers {able}; "
            f"leave it out with `~evaluate.{name}`, or choose another model or `engine`"
        )


def limited(name: str, evaluator: Evaluator, count: int | None) -> Evaluator:
    """The evaluator on its first `count` rows alone; None for all that it has.

    Raises:
        ValueError: it has no `limit` to be given.
    """
    if count is None:
        return evaluator
    if not isinstance(evaluator, Limited):
        raise ValueError(f"evaluate.{name}: it has no `limit` on its rows; set callbacks.judge.rows=null")
    fewer = copy.copy(evaluator)
    fewer.limit = count if evaluator.limit is None else min(count, evaluator.limit)
    return fewer
