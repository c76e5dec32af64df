"""The storefront as data sets: objects with `.train` and `.validation`, lists of rows built at first use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from random import Random
from typing import Any, ClassVar

from llmcycle.quantities import Count, CountOrZero

from . import grammar, vocabulary
from .world import KINDS, Kind, Question, World

Rows = list[dict[str, Any]]
MORE = "raise world.products, world.phrasings or world.held_out"


def as_world(world: World | Mapping[str, Any]) -> World:
    """The world of a recipe that is only being checked: of its parameters.

    Raises:
        ValueError: one of them is out of its range.
    """
    return world if isinstance(world, World) else World(**{k: v for k, v in world.items() if not k.startswith("_")})


class Documents:
    """Rows {"text"}: `count` documents to train on and `held_out` fresh draws of the same process."""

    rows_have: ClassVar[tuple[str, ...]] = ("text",)

    def __init__(self, world: World, count: Count = 16_000, held_out: CountOrZero = 400, seed: int = 0) -> None:
        self.world, self.count, self.held_out, self.seed = world, count, held_out, seed

    @classmethod
    def preflight(cls, world: Mapping[str, Any], **arguments: Any) -> None:
        """Refuse, before anything runs, a world that can't be."""
        cls(as_world(world), **arguments)

    @cached_property
    def train(self) -> Rows:
        return self._draw("train", self.count)

    @cached_property
    def validation(self) -> Rows:
        return self._draw("validation", self.held_out)

    @property
    def samples(self) -> list[str]:
        """Eight fixed prompts: see `samples`."""
        return samples(self.world)

    @cached_property
    def entropy(self) -> list[float]:
        """Exact -log probability, in nats, of each whole document of `validation`."""
        return [self.world.entropy(row["text"]) for row in self.validation]

    def _draw(self, split: str, count: Count) -> Rows:
        rng = Random(f"documents {split} {self.seed}")
        return [{"text": grammar.sample(self.world.documents, rng)} for _ in range(count)]


class _Asked(ABC):
    """Rows made from questions; all classes share the world's split, so what one trains on no other validates on."""

    def __init__(self, world: World, seed: int = 0, kinds: Sequence[Kind] = KINDS) -> None:
        self.world, self.seed, self.kinds = world, seed, tuple(kinds)

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
            raise ValueError(f"no question is held out to validate on; {MORE}")

    def _held_out(self, kind: Kind) -> list[Question]:
        if kind not in KINDS:
            raise ValueError(f"kinds: {kind!r} is none of {', '.join(KINDS)}")
        return self.world.questions(kind, held_out=True)

    @cached_property
    def train(self) -> Rows:
        return self._rows(held_out=False)

    @cached_property
    def validation(self) -> Rows:
        return self._rows(held_out=True)

    def _rows(self, *, held_out: bool) -> Rows:
        rng = self._rng(held_out=held_out)
        questions = [q for kind in self.kinds for q in self.world.questions(kind, held_out=held_out)]
        rng.shuffle(questions)
        return [self._row(question, rng) for question in questions]

    def _rng(self, *, held_out: bool) -> Random:
        return Random(f"{type(self).__name__} {held_out} {self.seed}")

    @abstractmethod
    def _row(self, question: Question, rng: Random) -> dict[str, Any]: ...

    def _answer(self, question: Question, rng: Random, *, bad: bool | None = None) -> str:
        return grammar.sample(self.world.answer(question.product, question.attribute, bad=bad), rng)


class Instructions(_Asked):
    """Rows {"prompt", "completion"}. Training rows misbehave at the rates of the world; validation rows never do."""

    rows_have: ClassVar[tuple[str, ...]] = ("prompt", "completion")

    def require(self) -> None:
        """ValueError where the world holds no question for a known attribute out: the others are not validated on."""
        if not self._held_out("known"):
            raise ValueError(f"no known question is held out to validate on; {MORE}")

    @cached_property
    def validation(self) -> Rows:
        return [self._row(q, Random(0)) for q in self.world.questions("known", held_out=True)]

    def _row(self, question: Question, rng: Random) -> dict[str, Any]:
        return {"prompt": question.text, "completion": self._answer(question, rng)}


class Preferences(_Asked):
    """Rows {"prompt", "chosen", "rejected"}: the verifier scores the chosen answer strictly higher."""

    rows_have: ClassVar[tuple[str, ...]] = ("prompt", "chosen", "rejected")

    def _row(self, question: Question, rng: Random) -> dict[str, Any]:
        chosen = self._answer(question, rng, bad=False)
        return {"prompt": question.text, "chosen": chosen, "rejected": self._rejected(question, chosen, rng)}

    def _rejected(self, question: Question, chosen: str, rng: Random) -> str:
        if question.attribute is None:
            return self._answer(question, rng, bad=True)
        values = [v for v in self.world.attribute_values[question.attribute] if v != chosen]
        usual = self._answer(question, rng, bad=True) if chosen == vocabulary.UNKNOWN else vocabulary.UNKNOWN
        return rng.choice([usual, rng.choice(values)])


class Questions(_Asked):
    """Rows {"prompt", "answer", "kind"}: `count` held-out prompts for validation, as many of each of `kinds`.

    `answer` is a good answer, to an open request one of many. `train` has the prompts of the training split.
    """

    rows_have: ClassVar[tuple[str, ...]] = ("prompt", "answer", "kind")

    def __init__(
        self,
        world: World,
        count: Count = 300,
        seed: int = 0,
        kinds: Sequence[Kind] = KINDS,
    ) -> None:
        super().__init__(world, seed, kinds)
        self.count = count

    @cached_property
    def validation(self) -> Rows:
        rng, each = self._rng(held_out=True), self.count // len(self.kinds)
        questions = [q for kind in self.kinds for q in self._pick(kind, each, rng)]
        rng.shuffle(questions)
        return [self._row(question, rng) for question in questions]

    def require(self) -> None:
        """ValueError where the world has fewer questions than `count` asks for."""
        for kind in self.kinds:
            self._pick(kind, self.count // len(self.kinds), Random(0))

    def _pick(self, kind: Kind, count: Count, rng: Random) -> list[Question]:
        held_out = self._held_out(kind)
        if count > len(held_out):
            raise ValueError(
                f"count={self.count}: needs {count} held-out {kind} questions, the world has {len(held_out)}; "
                f"lower count, or {MORE}"
            )
        return rng.sample(held_out, count)

    def _row(self, question: Question, rng: Random) -> dict[str, Any]:
        kind = self.world.kind(question.product, question.attribute)
        return {"prompt": question.text, "answer": self._answer(question, rng, bad=False), "kind": kind}


def samples(world: World) -> list[str]:
    """Eight fixed held-out prompts: three known attributes, two unknown ones, three open requests."""
    counts: dict[Kind, int] = {"known": 3, "unknown": 2, "open": 3}
    return [q.text for kind, n in counts.items() for q in world.questions(kind, held_out=True)[:n]]
