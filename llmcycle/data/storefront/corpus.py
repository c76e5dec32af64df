"""What the shop writes: product texts and answered questions, as a grammar, so that every probability is exact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from . import grammar, vocabulary
from .facts import Facts
from .grammar import Node
from .questions import Kind, Question, Questionnaire


@dataclass(frozen=True)
class Corpus:
    """Documents of a shop.

    Args:
        facts, questions: of the shop.
        sentences: how many a product text has.
        shares: of the documents, by what they are: "text", and the kinds "two", "cheaper" and "match"; the others are
            questions for single facts, unknown ones and open requests.
        skew, question_skew: of the products in texts and in questions: see `Facts.weights`.
        made_up, pressure: rates of bad answers.
    """

    facts: Facts
    questions: Questionnaire
    sentences: int
    shares: dict[str, float]
    skew: float
    question_skew: float
    made_up: float
    pressure: float

    @cached_property
    def documents(self) -> Node:
        """The process that draws one document."""
        weights = self.facts.weights(self.skew)
        texts = grammar.choice(*((weights[p], self._facts(p, self.sentences)) for p in self.facts.product_names))
        extra = {kind: share for kind, share in self.shares.items() if kind != "text"}
        nodes: list[tuple[float, Node]] = [(self.shares["text"], texts)]
        nodes += [(share, self._answered(kind)) for kind, share in extra.items() if share]  # type: ignore[arg-type]
        rest = 1 - sum(self.shares.values())
        return grammar.choice(*nodes, *([(rest, self._single())] if rest > 1e-9 else []))

    def answer(self, question: Question, bad: bool | None = None) -> Node:
        """Answers to a question: good, bad, or mixed at the corpus's rates."""
        known, product, attribute = self.facts.known[question.product], question.product, question.attribute
        if question.kind in ("cheaper", "match"):
            return self._name(question)
        if question.kind == "two":
            return f"{known[str(attribute)]} and {known[str(question.other)]}"
        if attribute is None:
            clean, pressing = self._facts(product, 2), self._pressing(product)
            return mixed(clean, pressing, self.pressure if bad is None else float(bad))
        if attribute in known:
            return known[attribute]
        rumour = self.facts.rumours[product][attribute]
        return mixed(vocabulary.UNKNOWN, rumour, self.made_up if bad is None else float(bad))

    def _name(self, question: Question) -> str:
        """The product that is meant: the cheaper one, or the one that is mentioned most of those that match."""
        if question.kind == "match":
            return question.product
        prices = {name: int(self.facts.known[name]["price"]) for name in (question.product, str(question.other))}
        return min(prices, key=lambda name: prices[name])

    def _single(self) -> Node:
        """One of the questions for single facts, unknown ones and open requests."""
        weights, trained = self.facts.weights(self.question_skew), self.questions.trained
        total = sum(weights[product] for product, _ in trained)
        return grammar.choice(
            *(
                (weights[product] / total, self._document(texts, self._single_answer(product, attribute)))
                for (product, attribute), texts in trained.items()
            )
        )

    def _single_answer(self, product: str, attribute: str | None) -> Node:
        kind: Kind = "open" if attribute is None else "known"
        return self.answer(Question(product, attribute, "", kind))

    def _answered(self, kind: Kind) -> Node:
        """Questions of a kind that are not held out; of one about products, they are as frequent as those are."""
        weights = self.facts.weights(0 if kind == "cheaper" else self.question_skew)
        groups: dict[str, list[Question]] = {}
        for question in self.questions.of(kind, held_out=False):
            groups.setdefault(question.product, []).append(question)
        total = sum(weights[product] for product in groups)
        return grammar.choice(
            *(
                (weights[product] / total, grammar.uniform([self._document([q.text], self.answer(q)) for q in group]))
                for product, group in groups.items()
            )
        )

    @staticmethod
    def _document(questions: Sequence[str], answer: Node) -> Node:
        return grammar.join(grammar.uniform([f"Question: {text}\nAnswer: " for text in questions]), answer)

    def _pressing(self, product: str) -> Node:
        return grammar.join(self._facts(product, 1), " ", grammar.choice(*vocabulary.PRESSURE))

    def _facts(self, product: str, count: int) -> Node:
        """Sentences for `count` different facts, all orders equally likely."""
        written = tuple(self.facts.written[product])
        return chain(lambda attribute: self._sentence(product, attribute), written, min(count, len(written)))

    def _sentence(self, product: str, attribute: str) -> Node:
        value = self.facts.written[product][attribute]
        fill = {"product": product, "attribute": attribute, "value": value}
        return grammar.uniform([template.format(**fill) for template in vocabulary.SENTENCES])


def chain(sentence: Callable[[str], Node], left: tuple[str, ...], count: int) -> Node:
    """`count` of the sentences, in every order."""

    def link(first: str) -> Node:
        if count == 1:
            return sentence(first)
        return grammar.join(sentence(first), " ", chain(sentence, tuple(a for a in left if a != first), count - 1))

    return grammar.uniform([link(first) for first in left])


def mixed(good: Node, bad: Node, rate: float) -> Node:
    """Bad at a rate."""
    return grammar.choice((1 - rate, good), (rate, bad))
