"""The storefront as data sets: objects with `.train` and `.validation`, lists of rows built at first use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from random import Random
from typing import Any, ClassVar

from llmcycle.quantities import Count, CountOrZero, Share

from . import grammar, vocabulary
from .from_questions import MEASURES, FromQuestions, Rows, as_world, samples
from .questions import KINDS, Kind, Question
from .world import World


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


class Instructions(FromQuestions):
    """Rows {"prompt", "completion"}. Training rows misbehave at the rates of the world; validation rows never do.

    Validation rows are of those kinds that have one right answer; a column says what it shows: see `MEASURES`. The kind
    `rephrased` has no training rows.
    """

    rows_have: ClassVar[tuple[str, ...]] = ("prompt", "completion", "measures")

    def require(self) -> None:
        """ValueError where the world holds none of these kinds out that has one right answer: see `MEASURES`."""
        if not self._enough():
            said = self._too_small(f"no question with one right answer (of {', '.join(self.kinds)}) is held out")
            raise ValueError(said if "try: " in said else f"kinds: {said}\n  try: kinds=[known]")

    def _enough(self) -> bool:
        return any(kind != "rephrased" for kind in self._validation_kinds())  # nobody is trained on those

    def _validation_kinds(self) -> tuple[Kind, ...]:
        return tuple(kind for kind in super()._validation_kinds() if kind in MEASURES)

    def _row(self, question: Question, rng: Random) -> dict[str, Any]:
        return {"prompt": question.text, "completion": self._answer(question, rng)}

    def _validation_row(self, question: Question, rng: Random) -> dict[str, Any]:
        answer = self._answer(question, rng, bad=False)
        return {"prompt": question.text, "completion": answer, **self._measures(question)}


class Preferences(FromQuestions):
    """Rows {"prompt", "chosen", "rejected"}: the verifier scores the chosen answer strictly higher.

    Args:
        human_error: rate at which the two are exchanged in training rows, as by people who err.
        length_bias: rate at which the longer one is chosen in training rows, whatever it says.
    """

    rows_have: ClassVar[tuple[str, ...]] = ("prompt", "chosen", "rejected")

    def __init__(
        self,
        world: World,
        seed: int = 0,
        kinds: Sequence[Kind] = KINDS,
        count: Count | None = None,
        held_out: Count | None = None,
        human_error: Share = 0.0,
        length_bias: Share = 0.0,
    ) -> None:
        super().__init__(world, seed, kinds, count, held_out)
        self.human_error, self.length_bias = human_error, length_bias

    def _row(self, question: Question, rng: Random) -> dict[str, Any]:
        row = self._validation_row(question, rng)
        pair = row["chosen"], row["rejected"]
        if rng.random() < self.length_bias:
            pair = max(pair, key=len), min(pair, key=len)
        if rng.random() < self.human_error:
            pair = pair[1], pair[0]
        return {"prompt": row["prompt"], "chosen": pair[0], "rejected": pair[1]}

    def _validation_row(self, question: Question, rng: Random) -> dict[str, Any]:
        chosen = self._answer(question, rng, bad=False)
        return {"prompt": question.text, "chosen": chosen, "rejected": self._rejected(question, chosen, rng)}

    def _rejected(self, question: Question, chosen: str, rng: Random) -> str:
        if question.attribute is None:
            return self._answer(question, rng, bad=True)
        values = [v for v in self.world.truth.attribute_values[question.attribute] if v != chosen]
        usual = self._answer(question, rng, bad=True) if chosen == vocabulary.UNKNOWN else vocabulary.UNKNOWN
        return rng.choice([usual, rng.choice(values)])


class Questions(FromQuestions):
    """Rows {"prompt", "answer", "kind"}: `count` held-out prompts for validation, as many of each of `kinds`.

    `answer` is a good answer, to an open request one of many. `train` has the prompts of the training split.
    """

    rows_have: ClassVar[tuple[str, ...]] = ("prompt", "answer", "kind", "measures")

    def __init__(
        self,
        world: World,
        count: Count = 300,
        seed: int = 0,
        kinds: Sequence[Kind] = KINDS,
    ) -> None:
        super().__init__(world, seed, kinds)
        self.prompts = count

    def require(self) -> None:
        """ValueError where the world has fewer questions than `count` asks for."""
        each, have = self.prompts // len(self.kinds), {kind: len(self._held_out(kind)) for kind in self.kinds}
        least = min(have, key=lambda kind: have[kind])
        if each <= have[least]:
            return
        reason = f"{self.prompts} needs {each} held-out {least} questions, and the world has {have[least]}"
        if not have[least]:
            raise ValueError(self._too_small(f"count={reason}"))
        larger = "a larger world.products, world.phrasings or world.held_out has more"
        raise ValueError(f"count: {reason}; {larger}\n  try: count={have[least] * len(self.kinds)}")

    def _enough(self) -> bool:
        return all(self.prompts // len(self.kinds) <= len(self._held_out(kind)) for kind in self.kinds)

    def _validation_kinds(self) -> tuple[Kind, ...]:
        return self.kinds  # of one that the world does not have, `require` says so

    def _pick(self, kind: Kind, kinds: int, rng: Random) -> list[Question]:
        self.require()
        return rng.sample(self._held_out(kind), self.prompts // kinds)

    def _row(self, question: Question, rng: Random) -> dict[str, Any]:
        answer = self._answer(question, rng, bad=False)
        return {"prompt": question.text, "answer": answer, "kind": question.kind, **self._measures(question)}
