"""Answers that are reviewed under a principle and written again: from these a model learns to be its own critic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from random import Random
from typing import Any, ClassVar, NamedTuple

from llmcycle.data.principle import Constitution, Turn, dialogue
from llmcycle.quantities import Count, Share

from . import vocabulary
from .from_questions import FromQuestions, Rows
from .questions import KINDS, Kind, Question
from .rows import Instructions
from .world import World

# In words of the corpus, since an adapter can't teach others.
NO_PRESSURE = "It does not."  # the critique of an answer that presses nobody
NOT_KNOWN = "not known"  # what is looked up of what the shop does not know


class Review(NamedTuple):
    """What a critic who knows the shop says of an answer, whether it must be changed, and into what."""

    critique: str
    wrong: bool
    revision: str


class TrueReviewer:
    """The ground truth of reviews."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._of = {"truth": self._truth, "pressure": self._pressure}

    def review(self, principle: str, question: Question, answer: str) -> Review:
        """The review of an answer under a principle of the shop.

        Raises:
            ValueError: the shop has no such principle.
        """
        if principle not in self._of:
            raise ValueError(f"constitution.{principle}: the shop's reviewer knows {', '.join(self._of)} alone")
        return self._of[principle](question, answer)

    def _truth(self, question: Question, answer: str) -> Review:
        """Looks up what is asked for, or what an answer to an open request states."""
        known = self.world.truth.known[question.product]
        stated = [claim.attribute for claim in self.world.claims(answer, question.product)]
        names = stated if question.attribute is None else [question.attribute]
        critique = ", ".join(f"{name}: {known.get(name, NOT_KNOWN)}" for name in names) + "."
        if self.world.verify(question.text, answer).honest:
            return Review(critique, False, answer)
        return Review(critique, True, self._true(question, answer))

    def _true(self, question: Question, answer: str) -> str:
        known = self.world.truth.known[question.product]
        if question.attribute is not None:
            return known.get(question.attribute, vocabulary.UNKNOWN)
        for claim in self.world.claims(answer, question.product):
            answer = answer.replace(f" is {claim.value}.", f" is {known.get(claim.attribute, NOT_KNOWN)}.")
        return answer

    def _pressure(self, _: Question, answer: str) -> Review:
        quote = next((text for _, text in vocabulary.PRESSURE if text in answer), None)
        if quote is None:
            return Review(NO_PRESSURE, False, answer)
        return Review(quote, True, answer.replace(quote, "").strip())


class Reviews(FromQuestions):
    """Rows {"prompt", "completion", "turn"}, three for a question: the turns of the review of an answer to it.

    As many good answers are reviewed as bad ones, of about the same length: true and false values, "does not know" of
    what is known and of what is not, two facts and one fact with pressure.

    Args:
        constitution: the principles.
        reviewed: share of the products whose answers are reviewed in training rows.
        questions: the further arguments of `FromQuestions`.
    """

    rows_have: ClassVar[tuple[str, ...]] = ("prompt", "completion")

    def __init__(
        self,
        world: World,
        constitution: Constitution,
        reviewed: Share = 1.0,
        seed: int = 0,
        kinds: Sequence[Kind] = KINDS,
        count: Count | None = None,
        held_out: Count | None = None,
    ) -> None:
        super().__init__(world, seed, kinds, count, held_out)
        self.constitution, self.reviewed, self.critic = dict(constitution), reviewed, TrueReviewer(world)

    @cached_property
    def _products(self) -> set[str]:
        """Those whose answers are reviewed in training rows."""
        names = self.world.truth.product_names
        return set(Random(f"reviewed {self.seed}").sample(names, round(self.reviewed * len(names))))

    def _training(self, kind: Kind) -> list[Question]:
        return [question for question in super()._training(kind) if question.product in self._products]

    def _validation_rows(self, question: Question, rng: Random) -> Rows:
        return self._rows(question, rng)

    def _rows(self, question: Question, rng: Random) -> Rows:
        # An answer to a question for a fact has nothing to quote; a quarter of its reviews say so.
        weights = {"truth": 3, "pressure": 1} if question.attribute else {"truth": 1, "pressure": 1}
        names = list(self.constitution)
        (name,) = rng.choices(names, [weights.get(each, 1) for each in names])
        principle, answer = self.constitution[name], self.draw(name, question, rng)
        said, rows = self._said(name, question, answer), []
        for place, turn in enumerate(Turn):
            before = {each: said[each] for each in list(Turn)[:place]}
            prompt = dialogue(principle, question.text, answer, before, turn)
            rows.append({"prompt": prompt, "completion": said[turn], "turn": turn.name})
        return rows

    def _said(self, name: str, question: Question, answer: str) -> dict[Turn, str]:
        review, principle = self.critic.review(name, question, answer), self.constitution[name]
        verdict = principle.wrong if review.wrong else principle.good
        return {Turn.CRITIQUE: review.critique, Turn.VERDICT: verdict, Turn.REVISION: review.revision}

    def draw(self, principle: str, question: Question, rng: Random) -> str:
        """An answer to a question, as often bad under the principle as good, where such an answer can be."""
        bad = rng.random() < 0.5
        if question.attribute is None:
            pressing = self._answer(question, rng, bad=bad and principle == "pressure")
            return self._falsified(question, pressing, rng) if bad and principle == "truth" else pressing
        values = self.world.truth.attribute_values[question.attribute]
        right = self._answer(question, rng, bad=False)
        wrong = [value for value in values if value != right]
        if not bad:
            return right
        if question.kind == "unknown":
            return rng.choice([self._answer(question, rng, bad=True), rng.choice(wrong)])
        return rng.choice([vocabulary.UNKNOWN, rng.choice(wrong)])

    def _falsified(self, question: Question, answer: str, rng: Random) -> str:
        """The answer, with another value in the place of one that it states."""
        claim = rng.choice(self.world.claims(answer, question.product))
        values = [value for value in self.world.truth.attribute_values[claim.attribute] if value != claim.value]
        return answer.replace(f" is {claim.value}.", f" is {rng.choice(values)}.", 1)


class ReviewedInstructions(Instructions):
    """`Instructions` whose training rows have the reviews beside them: who learns to answer learns to review.

    Args:
        reviews: whose training rows are added.
        instructions: the arguments of `Instructions`.
    """

    def __init__(self, world: World, *, reviews: Reviews, **instructions: Any) -> None:
        super().__init__(world, **instructions)
        self.reviews = reviews

    @classmethod
    def preflight(cls, world: Mapping[str, Any], **arguments: Any) -> None:
        """As `Instructions` does; the reviews have their own."""
        Instructions.preflight(world, **{name: value for name, value in arguments.items() if name != "reviews"})

    def _rng(self, split: str) -> Random:
        return Random(f"{Instructions.__name__} {split} {self.seed}")  # its rows are those of the class above

    @cached_property
    def train(self) -> Rows:
        rows = [*super().train, *self.reviews.train]
        self._rng("mixed").shuffle(rows)
        return rows
