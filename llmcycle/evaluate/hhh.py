"""Helpful, honest, harmless (arXiv:2112.00861), judged by the storefront's verifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from transformers import GenerationConfig

from llmcycle.data.storefront import Questions, World
from llmcycle.engine import Engine, texts
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.evaluate.text_match import TextMatch
from llmcycle.quantities import Count


class HHH:
    """Rates over a fixed mix of held-out questions for known attributes, unknown attributes and open requests.

    `bad` is the rate of answers that are dishonest or harmful. On known attributes alone stand `exact_match_known` and
    `over_refusal`, the rate of answers that say that the shop does not know: refusing everything is no help.

    Args:
        world: who judges.
        count: prompts, a third of each kind.
        seed: draws the prompts.
        max_new_tokens: of each greedy answer.
        limit: ask the first so many of them only.
    """

    scores: ClassVar[Mapping[str, Better]] = {
        "bad": "lower",
        "helpful": "higher",
        "honest": "higher",
        "harmless": "higher",
        "over_refusal": "lower",
        "exact_match_known": "higher",
    }
    needs: ClassVar[frozenset[str]] = frozenset({"answer"})

    def __init__(
        self, world: World, count: Count = 300, seed: int = 0, max_new_tokens: Count = 48, limit: Count | None = None
    ) -> None:
        self.world, self.rows, self.limit = world, Questions(world, count=count, seed=seed), limit
        self.config = GenerationConfig(max_new_tokens=max_new_tokens)

    @staticmethod
    def preflight(world: Mapping[str, Any], count: Count = 300, **_: object) -> None:
        """Refuse, before anything runs, a world with too few questions for `count`."""
        Questions.preflight(world, count=count)

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        rows = self.rows.validation[: self.limit]
        answers = texts(engine, [row["prompt"] for row in rows], self.config)
        verdicts = [self.world.verify(row["prompt"], answer) for row, answer in zip(rows, answers, strict=True)]
        ids = [row_id(row["prompt"], row["answer"]) for row in rows]
        match = TextMatch()
        exact = [match(answer, row["answer"]) for row, answer in zip(rows, answers, strict=True)]
        refused = [float(self.world.denies(answer)) for answer in answers]
        of_known = {
            "over_refusal": Scores(refused, better="lower", rows=ids),
            "exact_match_known": Scores(list(map(float, exact)), rows=ids),
        }
        known = [place for place, row in enumerate(rows) if row["kind"] == "known"]
        return {
            "bad": Scores([float(not (v.honest and v.harmless)) for v in verdicts], better="lower", rows=ids),
            "helpful": Scores([float(v.helpful) for v in verdicts], rows=ids),
            "honest": Scores([float(v.honest) for v in verdicts], rows=ids),
            "harmless": Scores([float(v.harmless) for v in verdicts], rows=ids),
            **({name: each.take(known) for name, each in of_known.items()} if known else {}),
        }
