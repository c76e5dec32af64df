"""A model as critic: it says what is wrong with an answer, whether it must be changed, and writes a better one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from transformers import GenerationConfig

from llmcycle.data.chat import Message, Prompt
from llmcycle.data.principle import Principle, Turn, dialogue
from llmcycle.engine import Engine, texts
from llmcycle.judge.verdict import verdicts
from llmcycle.quantities import Count, Share

Critique = Literal["own", "none", "other"]


@dataclass(frozen=True)
class Draft:
    """An answer that is to be reviewed."""

    prompt: Prompt
    answer: str


@dataclass(frozen=True)
class Review:
    """What came of a draft under one principle.

    Args:
        principle: its name.
        critique: what is wrong with the answer, in the critic's words; "" where none was asked for.
        wrong: the probability that the answer must be changed; None where no verdict could be read.
        changed: whether the verdict is sure enough of it to ask for another answer.
        revision: the answer as it should be; the answer itself where it is not changed.
    """

    draft: Draft
    principle: str
    critique: str
    wrong: float | None
    changed: bool
    revision: str


@dataclass(frozen=True)
class Critic:
    """Asks an engine for the three turns of a review, each behind those before it.

    Args:
        engine: which must answer; where it scores too, verdicts are read from the probabilities of their words. None
            for the model whose answers are reviewed.
        critique: "own"; to see what a critique is worth "none", or that of an"other" answer.
        threshold: from which probability on that it must be changed an answer is.
        max_new_tokens: of a critique and of a revision.
        seed: chooses the other answers.
    """

    engine: Engine | None = None
    critique: Critique = "own"
    threshold: Share = 0.5
    max_new_tokens: Count = 64
    seed: int = 0

    @property
    def asked(self) -> Engine:
        """The engine.

        Raises:
            ValueError: there is none yet.
        """
        if self.engine is None:
            raise ValueError("critic.engine: a critic without a model can't be asked")
        return self.engine

    def review(self, name: str, principle: Principle, drafts: Sequence[Draft]) -> list[Review]:
        """A review of each draft under one principle, called `name`."""
        critiques = self._critiques(principle, drafts)
        said = [{} if text is None else {Turn.CRITIQUE: text} for text in critiques]
        wrong = self._verdicts(principle, drafts, said)
        reviews = [
            Review(draft, name, text or "", share, share is not None and share >= self.threshold, draft.answer)
            for draft, text, share in zip(drafts, critiques, wrong, strict=True)
        ]
        return self._revised(principle, reviews, said)

    def _critiques(self, principle: Principle, drafts: Sequence[Draft]) -> list[str | None]:
        if self.critique == "none":
            return [None] * len(drafts)
        own = self._answers([dialogue(principle, d.prompt, d.answer, {}, Turn.CRITIQUE) for d in drafts])
        return list(own if self.critique == "own" else moved(own, Random(f"critiques {self.seed}")))

    def _verdicts(
        self, principle: Principle, drafts: Sequence[Draft], said: Sequence[Mapping[Turn, str]]
    ) -> list[float | None]:
        words = {principle.wrong: 1.0, principle.good: 0.0}
        questions = [
            dialogue(principle, draft.prompt, draft.answer, before, Turn.VERDICT)
            for draft, before in zip(drafts, said, strict=True)
        ]
        return [verdict.value for verdict in verdicts(self.asked, questions, words, self.max_new_tokens)]

    def _revised(
        self, principle: Principle, reviews: Sequence[Review], said: Sequence[Mapping[Turn, str]]
    ) -> list[Review]:
        places = [place for place, review in enumerate(reviews) if review.changed]
        drafts = {place: reviews[place].draft for place in places}
        before = {place: {**said[place], Turn.VERDICT: principle.wrong} for place in places}
        asked = [
            dialogue(principle, draft.prompt, draft.answer, before[place], Turn.REVISION)
            for place, draft in drafts.items()
        ]
        revisions = dict(zip(places, self._answers(asked), strict=True))
        # A critic that writes nothing has no better answer.
        return [
            replace(review, revision=revisions.get(place) or review.revision) for place, review in enumerate(reviews)
        ]

    def _answers(self, dialogues: Sequence[list[Message]]) -> list[str]:
        return texts(self.asked, dialogues, GenerationConfig(max_new_tokens=self.max_new_tokens, do_sample=False))


def moved(critiques: Sequence[str], rng: Random) -> list[str]:
    """Each critique beside another answer than its own, where there are two or more."""
    order = list(range(len(critiques)))
    rng.shuffle(order)
    # A walk through all of them in a drawn order: each place gets what the next one had.
    following = {place: order[(index + 1) % len(order)] for index, place in enumerate(order)}
    return [critiques[following[place]] for place in range(len(critiques))]
