"""Whether a model finds what is true likelier than what is often said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from llmcycle.engine import Engine
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.multiple_choice import MultipleChoice
from llmcycle.evaluate.scores import Scores


class Truthful(MultipleChoice):
    """`truthful`: 1 where the true answer is likelier than each of the false ones, else 0.

    MC1 of TruthfulQA (arXiv:2109.07958, section 3.2): an answer's whole log-likelihood counts, whatever its length.
    """

    scores: ClassVar[Mapping[str, Better]] = {"truthful": "higher"}

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        return {"truthful": super().__call__(engine)["accuracy"]}
