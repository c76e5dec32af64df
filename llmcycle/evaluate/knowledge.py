"""What a model knows, by where it can know it from, on rows that say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from llmcycle.data.encode import Columns
from llmcycle.engine import Engine
from llmcycle.evaluate.exact_match import ExactMatch
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.scores import Scores


class Knowledge(ExactMatch):
    """As `ExactMatch`, but only by what the rows measure: of the storefront's questions `kept`, `learnt`, `admitted`.

    Raises:
        ValueError: no row says what it measures.
    """

    rows_need: ClassVar[Columns] = (("prompt", "completion", "measures"), ("prompt", "answer", "measures"))
    scores: ClassVar[Mapping[str, Better]] = dict.fromkeys(("kept", "learnt", "admitted"), "higher")

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        scores = super().__call__(engine)
        del scores["exact_match"]
        if not scores:
            raise ValueError("evaluate.knowledge: no row has a column `measures`; choose evaluate=exact_match")
        return scores
