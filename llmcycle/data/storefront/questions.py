"""What people ask the shop, and which of these questions are kept for validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations
from random import Random
from typing import Literal, NamedTuple

from . import vocabulary
from .facts import Facts, Table

Kind = Literal["known", "unknown", "open", "taught", "two", "cheaper", "match", "rephrased"]
KINDS: tuple[Kind, ...] = ("known", "unknown", "open")
ALL_KINDS: tuple[Kind, ...] = (*KINDS, "taught", "two", "cheaper", "match", "rephrased")


class Question(NamedTuple):
    """A question in the template `phrasing`.

    Args:
        product: that is asked about; of the kind `match` one that is right.
        attribute: that is asked for; None for an open request.
        other: of the kinds `two` and `match` a second attribute, of `cheaper` the second product.
        values: of the kind `match`, of both attributes.
    """

    product: str
    attribute: str | None
    phrasing: str
    kind: Kind
    other: str | None = None
    values: tuple[str, str] = ("", "")

    @property
    def text(self) -> str:
        value, other_value = self.values
        return self.phrasing.format(
            product=self.product, attribute=self.attribute, other=self.other, value=value, other_value=other_value
        )


Split = tuple[list[Question], list[Question]]  # those to train on, and those that are held out


@dataclass(frozen=True)
class Questionnaire:
    """All questions of a shop.

    Args:
        facts: of the shop.
        phrasings: in how many ways people ask, of those that are trained on.
        compared: how many products are compared with each other, of those that are mentioned most.
        held_out: share of the combinations of product, attribute and phrasing that is kept for validation.
        seed: draws the split.
    """

    facts: Facts
    phrasings: int
    compared: int
    held_out: float
    seed: int

    def of(self, kind: Kind, *, held_out: bool) -> list[Question]:
        """In random order. Held-out ones stand nowhere in the training data, the corpus included, while their product,
        attribute and phrasing do; but for those of the kind `rephrased`, whose phrasing does not."""
        if kind not in self._splits:
            self._splits[kind] = self._split(kind)
        return list(self._splits[kind][held_out])

    @cached_property
    def trained(self) -> dict[tuple[str, str | None], list[str]]:
        """(product, attribute) -> questions of the corpus, known, unknown or open, that are not held out."""
        trained: dict[tuple[str, str | None], list[str]] = {}
        for question in (q for kind in KINDS for q in self.of(kind, held_out=False)):
            trained.setdefault(question[:2], []).append(question.text)
        return trained

    @cached_property
    def _splits(self) -> dict[Kind, Split]:
        return {}

    def _split(self, kind: Kind) -> Split:
        rng, questions = Random(f"split {kind} {self.seed}"), list(self._all(kind))
        if kind == "rephrased":
            rng.shuffle(questions)
            return [], questions
        return (split_alike if kind in ("cheaper", "match") else split)(questions, self.held_out, rng)

    def _all(self, kind: Kind) -> Iterator[Question]:
        facts, phrasings = self.facts, vocabulary.QUESTIONS[: self.phrasings]
        if kind == "open":
            phrasings = vocabulary.REQUESTS[: self.phrasings]
            yield from (Question(p, None, phrasing, kind) for p in facts.product_names for phrasing in phrasings)
        elif kind == "two":
            yield from self._two()
        elif kind == "cheaper":
            yield from self._cheaper()
        elif kind == "match":
            yield from self._match()
        else:
            taught = {p: {a: v for a, v in row.items() if a not in facts.written[p]} for p, row in facts.known.items()}
            tables: dict[str, Table] = {"taught": taught, "unknown": facts.rumours}
            if kind == "rephrased":
                phrasings = vocabulary.OTHER_QUESTIONS
            yield from single(kind, tables.get(kind, facts.written), phrasings)

    def _two(self) -> Iterator[Question]:
        for product, row in self.facts.written.items():
            for attribute, other in combinations(row, 2):
                yield from (Question(product, attribute, p, "two", other) for p in vocabulary.TWO_QUESTIONS)

    def _cheaper(self) -> Iterator[Question]:
        prices = {p: row["price"] for p, row in self.facts.written.items() if "price" in row}
        few = [product for product in self.facts.product_names[: self.compared] if product in prices]
        for product, other in permutations(few, 2):
            if prices[product] != prices[other]:
                yield from (Question(product, "price", p, "cheaper", other) for p in vocabulary.COMPARISONS)

    def _match(self) -> Iterator[Question]:
        met: set[tuple[str, ...]] = set()
        for product, row in self.facts.written.items():
            for attribute, other in combinations(row, 2):
                pair = attribute, other, row[attribute], row[other]
                if pair not in met:
                    met.add(pair)
                    for phrasing in vocabulary.MATCHES:
                        yield Question(product, attribute, phrasing, "match", other, (row[attribute], row[other]))


def single(kind: Kind, table: Table, phrasings: tuple[str, ...]) -> Iterator[Question]:
    """A question for every attribute in a table, in every phrasing."""
    for product, row in table.items():
        for attribute in row:
            yield from (Question(product, attribute, phrasing, kind) for phrasing in phrasings)


def split(questions: list[Question], held_out: float, rng: Random) -> Split:
    """(training, validation) in random order; one with a part, or a product and attribute, not met before trains."""
    rng.shuffle(questions)
    train: list[Question] = []
    rest: list[Question] = []
    met: set[object] = set()
    for question in questions:
        parts = {question[:2], question.product, question.attribute, question.phrasing, question.other}
        (rest if parts <= met else train).append(question)
        met |= parts
    missing = max(0, round(len(questions) * (1 - held_out)) - len(train))
    return train + rest[:missing], rest[missing:]


def split_alike(questions: list[Question], held_out: float, rng: Random) -> Split:
    """As `split`, where questions that share an answer's grounds, in whatever order or words, fall on one side."""
    grounds = [frozenset({q.product, q.other}) if q.kind == "cheaper" else frozenset(q.values) for q in questions]
    all_grounds = sorted(set(grounds), key=sorted)
    rng.shuffle(all_grounds)
    kept = set(all_grounds[: round(len(all_grounds) * held_out)])
    pairs = list(zip(questions, grounds, strict=True))
    rng.shuffle(pairs)
    return [q for q, ground in pairs if ground not in kept], [q for q, ground in pairs if ground in kept]
