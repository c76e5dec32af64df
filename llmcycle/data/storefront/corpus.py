"""What the shop writes: product texts and answered questions, as a grammar, so that every probability is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from . import grammar, vocabulary
from .facts import Facts
from .grammar import Node
from .questions import Kind, Question, Questionnaire

ROUNDING = 1e-9  # of shares that sum to 1


@dataclass(frozen=True)
class Corpus:
    """Documents of a shop.

    Args:
        facts, questions: of the shop.
        sentences: how many a product text has.
        text_share: of the documents that are product texts.
        shares: of the documents that are questions of some kinds; the rest are questions for single facts, unknown ones
            and open requests.
        skew, question_skew: of the products in texts and in questions: see `Facts.weights`.
        made_up, pressure: rates of bad answers.
    """

    facts: Facts
    questions: Questionnaire
    sentences: int
    text_share: float
    shares: dict[Kind, float]
    skew: float
    question_skew: float
    made_up: float
    pressure: float

    @cached_property
    def documents(self) -> Node:
        """The process that draws one document."""
        mentions = self.facts.weights(self.skew)
        texts = weighted((weight, self._facts(product, self.sentences)) for product, weight in mentions.items())
        special = [(share, self._of_kind(kind)) for kind, share in self.shares.items() if share]
        rest = 1 - self.text_share - sum(self.shares.values())
        single = [(rest, self._single())] if rest > ROUNDING else []
        return grammar.choice((self.text_share, texts), *special, *single)

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
        return weighted(
            (weights[product], self._document(texts, self._single_answer(product, attribute)))
            for (product, attribute), texts in trained.items()
        )

    def _single_answer(self, product: str, attribute: str | None) -> Node:
        kind: Kind = "open" if attribute is None else "known"
        return self.answer(Question(product, attribute, "", kind))

    def _of_kind(self, kind: Kind) -> Node:
        """Questions of a kind that are not held out; of one about products, they are as frequent as those are."""
        weights = self.facts.weights(0 if kind == "cheaper" else self.question_skew)
        groups: dict[str, list[Question]] = {}
        for question in self.questions.of(kind, held_out=False):
            groups.setdefault(question.product, []).append(question)
        return weighted((weights[product], self._either(group)) for product, group in groups.items())

    def _either(self, questions: Sequence[Question]) -> Node:
        """Any of the questions, with its own answer."""
        return grammar.uniform([self._document([question.text], self.answer(question)) for question in questions])

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


def weighted(options: Iterable[tuple[float, Node]]) -> Node:
    """One of the nodes, drawn in proportion to the weight beside it."""
    options = list(options)
    total = sum(weight for weight, _ in options)
    return grammar.choice(*((weight / total, node) for weight, node in options))


def mixed(good: Node, bad: Node, rate: float) -> Node:
    """Bad at a rate."""
    return grammar.choice((1 - rate, good), (rate, bad))
