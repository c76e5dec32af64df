"""Answers of the shop with what they are worth: a rating each, or a label for each of their sentences."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, ClassVar

from llmcycle.quantities import Count, NotNegative, Share

from . import vocabulary
from .from_questions import FromQuestions
from .questions import Kind, Question
from .rows import Preferences
from .world import World


class Ratings(Preferences):
    """Rows {"prompt", "completion", "rating"}: good and bad answers, as many of each, with the verifier's score.

    Args:
        noise: standard deviation of what people add to the score of training rows.
        questions: the further arguments of `Preferences`.
    """

    rows_have: ClassVar[tuple[str, ...]] = ("prompt", "completion", "rating")

    def __init__(self, world: World, *, noise: NotNegative = 0.0, **questions: Any) -> None:
        super().__init__(world, **questions)
        self.noise = noise

    def _row(self, question: Question, rng: Random) -> dict[str, Any]:
        row = self._validation_row(question, rng)
        return {**row, "rating": row["rating"] + rng.gauss(0.0, self.noise)}

    def _validation_row(self, question: Question, rng: Random) -> dict[str, Any]:
        pair = super()._validation_row(question, rng)
        answer = pair[rng.choice(["chosen", "rejected"])]
        return {"prompt": pair["prompt"], "completion": answer, "rating": self.world.score(pair["prompt"], answer)}


class Statements(FromQuestions):
    """Rows {"prompt", "steps", "labels"}: sentences on the product that is asked about, each true or not.

    Args:
        most: sentences of an answer at the most; there are from one to so many, no two on one attribute.
        wrong: share of the sentences that state another value than the right one.
        questions: the further arguments of `FromQuestions`.
    """

    rows_have: ClassVar[tuple[str, ...]] = ("prompt", "steps", "labels")

    def __init__(
        self,
        world: World,
        *,
        kinds: Sequence[Kind] = ("open",),
        most: Count = 4,
        wrong: Share = 0.3,
        **questions: Any,
    ) -> None:
        super().__init__(world, kinds=kinds, **questions)
        self.most, self.wrong = most, wrong

    def _row(self, question: Question, rng: Random) -> dict[str, Any]:
        known = self.world.truth.known[question.product]
        attributes = rng.sample(sorted(known), rng.randint(1, min(self.most, len(known))))
        labels = [rng.random() >= self.wrong for _ in attributes]
        pairs = zip(attributes, labels, strict=True)
        steps = [self._sentence(question.product, attribute, right, rng) for attribute, right in pairs]
        return {"prompt": question.text, "steps": steps, "labels": labels}

    def _sentence(self, product: str, attribute: str, right: bool, rng: Random) -> str:
        value = self.world.truth.known[product][attribute]
        if not right:
            value = rng.choice([other for other in self.world.truth.attribute_values[attribute] if other != value])
        return rng.choice(vocabulary.SENTENCES).format(product=product, attribute=attribute, value=value)
