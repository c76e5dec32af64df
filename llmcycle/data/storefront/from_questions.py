"""Rows made from a world's questions: what the instructions, the preferences and the questions share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property, lru_cache
from random import Random
from typing import Any, cast

from rapidfuzz.process import extractOne

from llmcycle.quantities import Count

from . import grammar
from .questions import ALL_KINDS, KINDS, Kind, Question
from .world import World

Rows = list[dict[str, Any]]
# What gives a world more questions, and values to try, the usual ones first.
LARGER: Mapping[str, tuple[float, ...]] = {
    "held_out": (0.36, 0.6),
    "phrasings": (12,),
    "products": (24, 128, 384),
    "unknown": (1,),
    "taught": (1,),
}
# What a right answer to a question shows, for kinds with one right answer: of knowledge from the corpus, from the
# instructions and from neither; of two facts together; and of a fact, asked for in words that nobody was trained on.
MEASURES: Mapping[Kind, str] = {
    "known": "kept",
    "taught": "learnt",
    "unknown": "admitted",
    "two": "two_facts",
    "rephrased": "rephrased",
}


def as_world(world: World | Mapping[str, Any]) -> World:
    """The world of a recipe that is only being checked: of its parameters.

    Raises:
        ValueError: one of them is out of its range.
    """
    return world if isinstance(world, World) else _world(**{k: v for k, v in world.items() if not k.startswith("_")})


@lru_cache(maxsize=8)
def _world(**parameters: Any) -> World:
    """One world for all parts of a recipe that are checked: its questions are made once."""
    return World(**parameters)


class FromQuestions:
    """Rows made from questions; all classes share the world's split, so what one trains on no other validates on.

    Args:
        world: whose questions they are.
        seed: draws the rows.
        kinds: of the questions.
        count: training rows, as many of each kind, drawn by `world.instruction_skew`; None for all that there are.
        held_out: validation rows at the most, as many of each kind; None for all.
    """

    def __init__(
        self,
        world: World,
        seed: int = 0,
        kinds: Sequence[Kind] = KINDS,
        count: Count | None = None,
        held_out: Count | None = None,
    ) -> None:
        self.world, self.seed, self.kinds, self.count, self.held_out = world, seed, tuple(kinds), count, held_out

    @classmethod
    def preflight(cls, world: Mapping[str, Any], **arguments: Any) -> None:
        """Refuse, before anything runs, a world that can't be, or that has too few questions for these rows.

        Args:
            world: its parameters.
            arguments: the other arguments of this class.
        """
        cls(as_world(world), **arguments).require()

    @property
    def samples(self) -> list[str]:
        """Eight fixed prompts, the same for all rows of a world: see `samples`."""
        return samples(self.world)

    def require(self) -> None:
        """ValueError where the world has too few questions: none of these kinds to hold out."""
        if not any(self._held_out(kind) for kind in self.kinds):
            raise ValueError(self._too_small("no question is held out to validate on"))

    def _too_small(self, reason: str) -> str:
        """The reason, with a setting of the world that has enough questions for these rows, where one is found."""
        tried = ((name, value) for name, values in LARGER.items() for value in values)
        larger = ((name, value) for name, value in tried if value > getattr(self.world, name))
        found = next((f"world.{name}={value}" for name, value in larger if self._suits(name, value)), "")
        return f"{found.partition('=')[0]}: {reason}\n  try: {found}" if found else reason

    def _suits(self, name: str, value: float) -> bool:
        """Whether a world with another value of one parameter has enough questions."""
        other, changed = copy(self), {name: value}
        try:
            other.world = replace(self.world, **cast(dict[str, Any], changed))
        except ValueError:  # the other parameters leave no room for it
            return False
        return other._enough()

    def _enough(self) -> bool:
        """Whether the world has a question to hold out of what validation rows are made of."""
        return bool(self._validation_kinds())

    def _held_out(self, kind: Kind) -> list[Question]:
        if kind not in ALL_KINDS:
            near = extractOne(str(kind), ALL_KINDS)[0]
            raise ValueError(f"kinds: {kind!r} is none of {', '.join(ALL_KINDS)}\n  try: kinds=[{near}]")
        return self.world.questions(kind, held_out=True)

    @cached_property
    def train(self) -> Rows:
        rng = self._rng("train")
        each = None if self.count is None else max(self.count // len(self.kinds), 1)
        weights = self.world.truth.weights(self.world.instruction_skew)
        questions = [question for kind in self.kinds for question in some(self._training(kind), each, weights, rng)]
        rng.shuffle(questions)
        return [row for question in questions for row in self._rows(question, rng)]

    def _training(self, kind: Kind) -> list[Question]:
        """The questions of a kind that training rows are drawn from."""
        return self.world.questions(kind, held_out=False)

    @cached_property
    def validation(self) -> Rows:
        rng, kinds = self._rng("validation"), self._validation_kinds()
        questions = [question for kind in kinds for question in self._pick(kind, len(kinds), rng)]
        rng.shuffle(questions)
        return [row for question in questions for row in self._validation_rows(question, rng)]

    def _validation_kinds(self) -> tuple[Kind, ...]:
        """The kinds that validation rows are of: those that the world has."""
        return tuple(kind for kind in self.kinds if self._held_out(kind))

    def _pick(self, kind: Kind, kinds: int, _: Random) -> list[Question]:
        """The questions of a kind to validate on, where rows are of so many kinds."""
        return self._held_out(kind)[: None if self.held_out is None else max(self.held_out // kinds, 1)]

    def _rows(self, question: Question, rng: Random) -> Rows:
        """The rows that a question to train on makes."""
        return [self._row(question, rng)]

    def _validation_rows(self, question: Question, rng: Random) -> Rows:
        return [self._validation_row(question, rng)]

    def _validation_row(self, question: Question, rng: Random) -> dict[str, Any]:
        return self._row(question, rng)

    def _rng(self, split: str) -> Random:
        return Random(f"{type(self).__name__} {split} {self.seed}")

    def _row(self, question: Question, rng: Random) -> dict[str, Any]:
        """The only row that a question makes; a class of one row a question has this, others `_rows`."""
        raise NotImplementedError

    def _answer(self, question: Question, rng: Random, *, bad: bool | None = None) -> str:
        return grammar.sample(self.world.answer(question, bad=bad), rng)

    def _measures(self, question: Question) -> dict[str, Any]:
        """What a right answer shows, how likely a guess is right, and whether the product is mentioned often."""
        facts = {"known": 1, "taught": 1, "rephrased": 1, "two": 2}.get(question.kind, 0)
        return {
            "measures": MEASURES.get(question.kind, ""),
            "chance": self.world.values**-facts if facts else 0.0,
            "part": self.world.part(question.product),
        }


def some(
    questions: Sequence[Question], count: int | None, weights: Mapping[str, float], rng: Random
) -> Sequence[Question]:
    """At most `count` of the questions, none twice, drawn in proportion to their products' weights.

    The keys are those of Efraimidis and Spirakis (2006), https://doi.org/10.1016/j.ipl.2005.11.003.
    """
    if count is None or count >= len(questions):
        return questions
    keys = {question: rng.random() ** (1 / weights[question.product]) for question in questions}
    return sorted(questions, key=lambda question: -keys[question])[:count]


def samples(world: World) -> list[str]:
    """Eight fixed held-out prompts: three known attributes, two unknown ones, three open requests."""
    counts: dict[Kind, int] = {"known": 3, "unknown": 2, "open": 3}
    return [q.text for kind, n in counts.items() for q in world.questions(kind, held_out=True)[:n]]
