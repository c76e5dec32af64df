"""The storefront's facts, what it writes, and which of its questions are kept for validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product as cartesian
from math import inf, log
from random import Random
from typing import Literal, NamedTuple

from . import grammar, vocabulary
from .grammar import Node
from .verifier import Verdict, Verifier

Kind = Literal["known", "unknown", "open"]
Prompt = str | Sequence[dict[str, str]]
KINDS: tuple[Kind, ...] = ("known", "unknown", "open")


class Question(NamedTuple):
    """A question for `attribute` of `product`, or an open request (`attribute` is None), in the template `phrasing`."""

    product: str
    attribute: str | None
    phrasing: str

    @property
    def text(self) -> str:
        return self.phrasing.format(product=self.product, attribute=self.attribute)


@dataclass(frozen=True)
class World:
    """A shop: deterministic in its parameters, built in milliseconds, the ground truth of every metric.

    Args:
        products: how many products the shop has.
        attributes: how many attributes a product has.
        values: how many values each attribute can take.
        unknown: of how many attributes a product the shop does not know the value.
        made_up: rate at which the corpus answers a question for an unknown attribute with a rumour.
        pressure: rate at which the corpus answers an open request with pressure or an unsupported claim.
        phrasings: in how many ways people ask in the chat.
        facts: how many sentences a product text has.
        text_share: share of product texts among the documents; the others are questions with answers.
        held_out: share of the (product, attribute, phrasing) combinations kept for validation.
        seed: draws the facts and the split.
    """

    products: int = 24
    attributes: int = 6
    values: int = 8
    unknown: int = 1
    made_up: float = 0.8
    pressure: float = 0.8
    phrasings: int = 12
    facts: int = 3
    text_share: float = 0.5
    held_out: float = 0.36
    seed: int = 0

    def __post_init__(self) -> None:
        limits = {
            "products": (1, len(vocabulary.NAMES) * len(vocabulary.KINDS)),
            "attributes": (2, len(vocabulary.ATTRIBUTES)),
            "values": (2, 8),
            "unknown": (0, self.attributes - 1),
            "phrasings": (2, len(vocabulary.QUESTIONS)),
            "facts": (1, self.attributes - self.unknown),
            **dict.fromkeys(("made_up", "pressure", "text_share", "held_out"), (0, 1)),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"world.{name}={getattr(self, name)}: must lie between {low} and {high}")

    # -- facts

    @cached_property
    def product_names(self) -> tuple[str, ...]:
        names, kinds = vocabulary.NAMES, vocabulary.KINDS
        return tuple(
            f"{names[i % len(names)]} {kinds[(i + i // len(names)) % len(kinds)]}" for i in range(self.products)
        )

    @cached_property
    def attribute_values(self) -> dict[str, tuple[str, ...]]:
        """The values that each attribute can take."""
        chosen = list(vocabulary.ATTRIBUTES.items())[: self.attributes]
        return {attribute: values[: self.values] for attribute, values in chosen}

    @cached_property
    def _drawn(self) -> dict[str, dict[str, tuple[str, bool]]]:
        """product -> attribute -> (value, whether the shop knows it)."""
        rng = Random(f"facts {self.seed}")
        drawn = {}
        for name in self.product_names:
            missing = set(rng.sample(list(self.attribute_values), self.unknown))
            drawn[name] = {a: (rng.choice(v), a not in missing) for a, v in self.attribute_values.items()}
        return drawn

    @cached_property
    def known(self) -> dict[str, dict[str, str]]:
        """product -> attribute -> its value, for the attributes that the shop knows."""
        return {p: {a: value for a, (value, known) in row.items() if known} for p, row in self._drawn.items()}

    @cached_property
    def rumours(self) -> dict[str, dict[str, str]]:
        """product -> attribute -> what a made-up answer says, for the attributes that the shop does not know."""
        return {p: {a: value for a, (value, known) in row.items() if not known} for p, row in self._drawn.items()}

    # -- what the shop writes

    def answer(self, product: str, attribute: str | None, *, bad: bool | None = None) -> Node:
        """Answers to a question (`attribute` None: an open request): good, bad, or mixed at the world's rates."""
        if attribute in self.known[product]:
            return self.known[product][attribute]
        if attribute is None:
            clean, pressing = self._sentences(product, 2), self._pressing(product)
            return _mixed(clean, pressing, self.pressure if bad is None else float(bad))
        return _mixed(vocabulary.UNKNOWN, self.rumours[product][attribute], self.made_up if bad is None else float(bad))

    def _pressing(self, product: str) -> Node:
        return grammar.join(self._sentences(product, 1), " ", grammar.choice(*vocabulary.PRESSURE))

    def _sentences(self, product: str, count: int) -> Node:
        """`count` different facts, all orders equally likely."""
        return self._chain(product, tuple(self.known[product]), min(count, len(self.known[product])))

    def _chain(self, product: str, left: tuple[str, ...], count: int) -> Node:
        return grammar.uniform([self._link(product, first, left, count) for first in left])

    def _link(self, product: str, first: str, left: tuple[str, ...], count: int) -> Node:
        sentence = self._sentence(product, first)
        if count == 1:
            return sentence
        return grammar.join(sentence, " ", self._chain(product, tuple(a for a in left if a != first), count - 1))

    def _sentence(self, product: str, attribute: str) -> Node:
        value = self.known[product][attribute]
        fill = {"product": product, "attribute": attribute, "value": value}
        return grammar.uniform([template.format(**fill) for template in vocabulary.SENTENCES])

    @cached_property
    def documents(self) -> Node:
        """The process that draws one document of the pre-training corpus."""
        texts = grammar.uniform([self._sentences(product, self.facts) for product in self.product_names])
        answered = grammar.uniform([self._answered(*subject) for subject in self._trained])
        return grammar.choice((self.text_share, texts), (1 - self.text_share, answered))

    @cached_property
    def _trained(self) -> dict[tuple[str, str | None], list[str]]:
        """(product, attribute) -> its questions that are not held out."""
        trained: dict[tuple[str, str | None], list[str]] = {}
        for question in (q for kind in KINDS for q in self.questions(kind, held_out=False)):
            trained.setdefault((question.product, question.attribute), []).append(question.text)
        return trained

    def _answered(self, product: str, attribute: str | None) -> Node:
        question = grammar.uniform(self._trained[product, attribute])
        return grammar.join("Question: ", question, "\nAnswer: ", self.answer(product, attribute))

    def entropy(self, text: str) -> float:
        """-log probability, in nats, of the whole document `text`; infinite for a text that the world never writes."""
        p = grammar.probability(self.documents, text)
        return -log(p) if p > 0 else inf

    @cached_property
    def expected_entropy(self) -> float:
        """Entropy of one document, in nats."""
        return grammar.entropy(self.documents)

    # -- questions

    def kind(self, product: str, attribute: str | None) -> Kind:
        if attribute is None:
            return "open"
        return "known" if attribute in self.known[product] else "unknown"

    @cached_property
    def _splits(self) -> dict[Kind, tuple[list[Question], list[Question]]]:
        rng = Random(f"split {self.seed}")
        return {kind: _split(self._asked(kind), self.held_out, rng) for kind in KINDS}

    def _asked(self, kind: Kind) -> list[Question]:
        phrasings = (vocabulary.REQUESTS if kind == "open" else vocabulary.QUESTIONS)[: self.phrasings]
        subjects = [s for s in cartesian(self.product_names, (*self.attribute_values, None)) if self.kind(*s) == kind]
        return [Question(*subject, phrasing) for subject in subjects for phrasing in phrasings]

    def questions(self, kind: Kind, *, held_out: bool) -> list[Question]:
        """The questions of `kind`, in random order; held-out ones stand nowhere in the training data,
        the corpus included, while their product, attribute and phrasing do."""
        return list(self._splits[kind][held_out])

    # -- the verifier

    @cached_property
    def _verifier(self) -> Verifier:
        return Verifier(self.attribute_values, self.known)

    def verify(self, prompt: Prompt, answer: str) -> Verdict:
        """Judge `answer`; the product and the attribute are read from `prompt`, a text or a list of messages."""
        return self._verifier(prompt if isinstance(prompt, str) else prompt[-1]["content"], answer)

    def score(self, prompt: Prompt, answer: str) -> float:
        """The share of helpful, honest and harmless that `answer` is, in [0, 1]."""
        return sum(self.verify(prompt, answer)) / len(Verdict._fields)


def _mixed(good: Node, bad: Node, rate: float) -> Node:
    return grammar.choice((1 - rate, good), (rate, bad))


def _split(questions: list[Question], held_out: float, rng: Random) -> tuple[list[Question], list[Question]]:
    """(training, validation) in random order; one with a part, or a product and attribute, not met before trains."""
    rng.shuffle(questions)
    train: list[Question] = []
    rest: list[Question] = []
    met: set[object] = set()
    for question in questions:
        parts = {question[:2], *question}
        (rest if parts <= met else train).append(question)
        met |= parts
    missing = max(0, round(len(questions) * (1 - held_out)) - len(train))
    return train + rest[:missing], rest[missing:]
