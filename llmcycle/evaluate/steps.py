"""How well a process reward model tells the right steps of an answer from the wrong ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from llmcycle.data.batches import Rows
from llmcycle.data.encode import Columns, column
from llmcycle.data.steps import encode_steps, label
from llmcycle.engine import Engine
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.quantities import Count


class StepAccuracy:
    """`step_accuracy`: share of steps whose logit has the right sign. `first_error`: share of answers in which the
    first step that is judged wrong is the first wrong one, or in which all are right and judged so (arXiv:2412.06559).

    Args:
        rows: {"prompt", "steps", "labels"}; those of `validation` are scored.
        separator: what ends a step, as in training.
        limit: score the first so many rows only.
    """

    scores: ClassVar[Mapping[str, Better]] = {"step_accuracy": "higher", "first_error": "higher"}
    needs: ClassVar[frozenset[str]] = frozenset({"steps"})
    rows_need: ClassVar[Columns] = (("prompt", "steps", "labels"),)

    def __init__(self, rows: Rows, separator: str = "\n", limit: Count | None = None) -> None:
        self.rows, self.separator, self.limit = rows, separator, limit

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        table = [column(row, "prompt", "steps", "labels") for row in self.rows.validation[: self.limit]]
        encoded = [encode_steps(engine.tokenizer, prompt, steps, self.separator) for prompt, steps, _ in table]
        judged = [[logit > 0 for logit in logits] for logits in engine.steps(encoded)]
        truth = [[bool(label(each)) for each in labels] for _, _, labels in table]
        pairs = list(zip(judged, truth, strict=True))
        shares = [sum(a == b for a, b in zip(*pair, strict=True)) / len(pair[1]) for pair in pairs]
        ids, counts = [row_id(*row) for row in table], [float(len(right)) for right in truth]
        firsts = [float(first_wrong(said) == first_wrong(right)) for said, right in pairs]
        return {
            "step_accuracy": Scores(shares, weights=counts, rows=ids),
            "first_error": Scores(firsts, rows=ids),
        }


def first_wrong(steps: Sequence[bool]) -> int:
    """The place of the first wrong step; their number where there is none."""
    return next((place for place, right in enumerate(steps) if not right), len(steps))
