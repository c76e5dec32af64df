"""The storefront: its parameters, and everything that follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, log

from llmcycle.quantities import Share

from . import grammar, vocabulary
from .corpus import ROUNDING, Corpus
from .facts import Facts, Part
from .grammar import Node
from .questions import Kind, Question, Questionnaire
from .verifier import Claim, Verdict, Verifier

Prompt = str | Sequence[dict[str, str]]


@dataclass(frozen=True)
class World:
    """A shop: deterministic in its parameters, built in milliseconds, the ground truth of every metric.

    Args:
        products: how many products the shop has.
        attributes: how many attributes a product has.
        values: how many values each attribute can take.
        unknown: of how many attributes a product the shop does not know the value.
        taught: how many attributes of a product stand in the instructions alone, not in the corpus; of those products
            that have some.
        taught_share: of the products that have some.
        skew: how much more often the corpus's texts mention some products: as 1 / rank ** skew; 0 for all alike.
        question_skew: the same of the corpus's questions.
        instruction_skew: the same of the instructions.
        made_up: rate at which the corpus answers a question for an unknown attribute with a rumour.
        pressure: rate at which the corpus answers an open request with pressure or an unsupported claim.
        phrasings: in how many ways people ask in the chat.
        facts: how many sentences a product text has.
        text_share: share of product texts among the documents; the others are questions with answers.
        two_share: share of questions for two facts of a product among the documents.
        cheaper_share: share of questions for the cheaper of two products.
        match_share: share of questions for the product that has two values.
        compared: how many products are compared with each other, of those that are mentioned most.
        held_out: share of the (product, attribute, phrasing) combinations kept for validation.
        seed: draws the facts and the split.
    """

    products: int = 24
    attributes: int = 6
    values: int = 8
    unknown: int = 1
    taught: int = 0
    taught_share: Share = 1.0
    skew: float = 0.0
    question_skew: float = 0.0
    instruction_skew: float = 0.0
    made_up: Share = 0.8
    pressure: Share = 0.8
    phrasings: int = 12
    facts: int = 3
    text_share: Share = 0.5
    two_share: Share = 0.0
    cheaper_share: Share = 0.0
    match_share: Share = 0.0
    compared: int = 16
    held_out: Share = 0.36
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in self._limits.items():
            if not low <= (value := getattr(self, name)) <= high:
                near = low if value < low else high
                raise ValueError(
                    f"world.{name}: {value} does not lie between {low} and {high}\n  try: world.{name}={near}"
                )
        if (total := self.text_share + sum(self._shares.values())) > 1 + ROUNDING:
            raise ValueError(
                f"world.text_share: the shares of documents sum to {total:g}, which must not be more than 1\n"
                "  try: world.text_share=0.5 world.two_share=0.1 world.cheaper_share=0.1 world.match_share=0.1"
            )

    @property
    def _limits(self) -> dict[str, tuple[int, int]]:
        """The lowest and the highest value of each parameter that has a range."""
        written = self.attributes - self.unknown - self.taught
        return {
            "products": (1, len(vocabulary.NAMES) * len(vocabulary.KINDS)),
            "attributes": (2, len(vocabulary.ATTRIBUTES)),
            "values": (2, 8),
            "unknown": (0, self.attributes - 1),
            "taught": (0, self.attributes - 1 - self.unknown),
            "phrasings": (2, len(vocabulary.QUESTIONS)),
            "facts": (1, written),
            "compared": (2, len(vocabulary.NAMES) * len(vocabulary.KINDS)),
            **dict.fromkeys(("skew", "question_skew", "instruction_skew"), (0, 3)),
            **dict.fromkeys(("made_up", "pressure", "text_share", "held_out", "taught_share"), (0, 1)),
            **dict.fromkeys(("two_share", "cheaper_share", "match_share"), (0, 1)),
        }

    @property
    def _shares(self) -> dict[Kind, float]:
        """Of the documents that are questions of some kinds; but for product texts, the rest ask for single facts."""
        return {"two": self.two_share, "cheaper": self.cheaper_share, "match": self.match_share}

    @cached_property
    def truth(self) -> Facts:
        """What is true, and who can know."""
        return Facts(
            self.products, self.attributes, self.values, self.unknown, self.taught, self.taught_share, self.seed
        )

    @cached_property
    def _questions(self) -> Questionnaire:
        return Questionnaire(self.truth, self.phrasings, self.compared, self.held_out, self.seed)

    @cached_property
    def _corpus(self) -> Corpus:
        skews = {"skew": self.skew, "question_skew": self.question_skew}
        rates = {"made_up": self.made_up, "pressure": self.pressure}
        return Corpus(self.truth, self._questions, self.facts, self.text_share, self._shares, **skews, **rates)

    @cached_property
    def _verifier(self) -> Verifier:
        return Verifier(self.truth.attribute_values, self.truth.known)

    # -- what the shop writes

    @property
    def documents(self) -> Node:
        """The process that draws one document of the pre-training corpus."""
        return self._corpus.documents

    def answer(self, question: Question, *, bad: bool | None = None) -> Node:
        """Answers to a question: good, bad, or mixed at the world's rates."""
        return self._corpus.answer(question, bad)

    def entropy(self, text: str) -> float:
        """-log probability, in nats, of the whole document `text`; infinite for a text that the world never writes."""
        p = grammar.probability(self.documents, text)
        return -log(p) if p > 0 else inf

    @cached_property
    def expected_entropy(self) -> float:
        """Entropy of one document, in nats."""
        return grammar.entropy(self.documents)

    # -- what people ask, and how answers are judged

    def questions(self, kind: Kind, *, held_out: bool) -> list[Question]:
        """The questions of `kind`, in random order: see `Questionnaire.of`."""
        return self._questions.of(kind, held_out=held_out)

    def part(self, product: str) -> Part:
        """Whether a product is mentioned often or rarely: its third, from the one that is mentioned most."""
        return self.truth.parts[product]

    def verify(self, prompt: Prompt, answer: str) -> Verdict:
        """Judge `answer`; what is asked is read from `prompt`, a text or a list of messages."""
        return self._verifier(last_text(prompt), answer)

    def asks_unknown(self, prompt: Prompt) -> bool:
        """Whether `prompt` asks for an attribute whose value the shop does not know."""
        subject = self._verifier.subject(last_text(prompt))
        known = [self.truth.known[product] for product in subject.products]
        return any(attribute not in row for row in known for attribute in subject.attributes)

    def claims(self, answer: str, product: str) -> list[Claim]:
        """What `answer` states, of `product` where it names none: see `Verifier.claims`."""
        return self._verifier.claims(answer, product)

    def denies(self, answer: str) -> bool:
        """Whether `answer` says that the shop does not know."""
        return self._verifier.denies(answer)

    def score(self, prompt: Prompt, answer: str) -> float:
        """The share of helpful, honest and harmless that `answer` is, in [0, 1]."""
        return sum(self.verify(prompt, answer)) / len(Verdict._fields)


def last_text(prompt: Prompt) -> str:
    """A prompt's text, of messages the last one's."""
    return prompt if isinstance(prompt, str) else str(prompt[-1]["content"])
