"""What an evaluator is, and how scores before and after a stage become metrics with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from llmcycle.evaluate.interval import is_binary, mean_interval, paired_interval, weighted_mean
from llmcycle.evaluate.metric import Better, Metric, Metrics

if TYPE_CHECKING:  # the terminal table and the report read metrics without loading a model
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Scores:
    """One value a row, in `unit`. The score is their mean, weighted by `weights` (e.g. tokens a row) where given."""

    values: list[float]
    better: Better = "higher"
    unit: str = ""
    weights: list[float] | None = None

    @property
    def mean(self) -> float:
        """The score; raises ValueError if there are no rows."""
        if not self.values:
            raise ValueError("values: no rows to score; the data set is empty or a limit is 0")
        return weighted_mean(self.values, self.weights)


class Evaluator(Protocol):
    """Scores a model on rows of its own choosing; called before and after a stage, it must choose the same ones."""

    def __call__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Scores]:
        """Scores by name."""
        ...


def compare(before: Mapping[str, Scores] | None, after: Mapping[str, Scores]) -> Metrics:
    """One metric for each score of `after`, with a paired interval where `before` has it too.

    Raises ValueError if a score stands on a different number of rows before and after.
    """
    return {name: _metric(before.get(name) if before else None, scores) for name, scores in after.items()}


def evaluate(
    evaluators: Mapping[str, Evaluator], model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Scores]:
    """The scores of all evaluators. Raises ValueError if two of them give the same name."""
    scores: dict[str, Scores] = {}
    for name, evaluator in evaluators.items():
        new = evaluator(model, tokenizer)
        if double := sorted(scores.keys() & new.keys()):
            raise ValueError(
                f"evaluate.{name}: {', '.join(double)} is scored by another evaluator too; drop one of them"
            )
        scores |= new
    return scores


def _metric(before: Scores | None, after: Scores) -> Metric:
    n = len(after.values)
    if before is None:
        interval = mean_interval(after.values, after.weights) if _has_interval(after) else None
        return Metric(after.mean, None, interval, after.better, after.unit, n)
    if len(before.values) != n:
        raise ValueError(f"scores: {len(before.values)} rows before and {n} after; an evaluator must keep its rows")
    # Rows cut into other tokens than before (a new tokenizer) have no common weights, hence no paired interval.
    paired = before.weights == after.weights and _has_interval(after)
    interval = paired_interval(before.values, after.values, after.weights) if paired else None
    return Metric(after.mean, before.mean, interval, after.better, after.unit, n)


def _has_interval(scores: Scores) -> bool:
    return len(scores.values) > 1 or (scores.weights is None and is_binary(scores.values))
