"""Questions for the cheaper of two products as rows to choose between, so that a name is not also a spelling test."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

from llmcycle.quantities import Count

from .from_questions import FromQuestions
from .questions import Question
from .world import World


class Comparisons(FromQuestions):
    """Rows {"prompt", "answer", "choices", "label"}: which of two products is the cheaper one.

    Args:
        count: held-out questions for validation at the most; `train` has those of the training split.
    """

    rows_have: ClassVar[tuple[str, ...]] = ("prompt", "answer", "choices", "label", "measures")

    def __init__(self, world: World, count: Count = 200, seed: int = 0) -> None:
        super().__init__(world, seed, ("cheaper",), held_out=count)

    def _row(self, question: Question, rng: Random) -> dict[str, Any]:
        names = [question.product, str(question.other)]
        answer = self._answer(question, rng, bad=False)
        row: Mapping[str, Any] = {"prompt": question.text, "answer": answer, "choices": names}
        return {**row, "label": names.index(answer), "measures": "cheaper", "chance": 1 / len(names)}
