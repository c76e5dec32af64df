"""The grammar's probabilities and entropies against enumeration."""

from __future__ import annotations

from collections import Counter
from math import log
from random import Random

import pytest

from llmcycle.data.storefront import World, grammar

SMALL = World(products=2, attributes=3, values=2, unknown=1, phrasings=2, facts=2, seed=3)
EVERY_KIND = World(
    **{"products": 4, "attributes": 4, "values": 3, "unknown": 1, "taught": 1, "phrasings": 2, "facts": 2, "seed": 3},
    **{"text_share": 0.4, "two_share": 0.1, "cheaper_share": 0.2, "match_share": 0.1},
    **{"skew": 1.0, "question_skew": 0.5},
)
# "ab" + "c" and "a" + "bc" are one text with two derivations.
AMBIGUOUS = grammar.join(grammar.uniform(["ab", "a"]), grammar.choice((0.25, "c"), (0.75, "bc")))


def _texts(node: grammar.Node) -> Counter[str]:
    texts: Counter[str] = Counter()
    for p, text in grammar.derivations(node):
        texts[text] += p
    return texts


def test_the_probability_of_a_text_sums_over_its_derivations() -> None:
    assert grammar.probability(AMBIGUOUS, "abc") == pytest.approx(0.5 * 0.25 + 0.5 * 0.75)
    assert grammar.probability(AMBIGUOUS, "ac") == pytest.approx(0.5 * 0.25)
    assert grammar.probability(AMBIGUOUS, "ab") == 0


@pytest.mark.parametrize("world", [SMALL, EVERY_KIND], ids=["small", "every kind"])
def test_entropy_of_every_document_equals_enumeration(world: World) -> None:
    texts = _texts(world.documents)
    assert sum(texts.values()) == pytest.approx(1)
    assert all(world.entropy(text) == pytest.approx(-log(p)) for text, p in texts.items())
    assert world.entropy("The shop never writes this.") == float("inf")


@pytest.mark.parametrize("world", [SMALL, EVERY_KIND], ids=["small", "every kind"])
def test_expected_entropy_equals_enumeration_since_no_document_is_ambiguous(world: World) -> None:
    derivations = list(grammar.derivations(world.documents))
    assert len(derivations) == len({text for _, text in derivations})
    assert world.expected_entropy == pytest.approx(-sum(p * log(p) for p, _ in derivations))


def test_documents_come_by_their_shares_and_products_by_their_ranks() -> None:
    texts = _texts(EVERY_KIND.documents)
    asked = [
        question for kind in ("two", "cheaper", "match") for question in EVERY_KIND.questions(kind, held_out=False)
    ]
    for kind, share in (("two", 0.1), ("cheaper", 0.2), ("match", 0.1)):
        starts = {f"Question: {question.text}\n" for question in asked if question.kind == kind}
        assert sum(p for text, p in texts.items() if text.partition("\n")[0] + "\n" in starts) == pytest.approx(share)
    names, product_texts = EVERY_KIND.truth.product_names, [text for text in texts if not text.startswith("Question")]
    mentions = [sum(texts[text] for text in product_texts if name in text) for name in names]
    assert mentions == pytest.approx([0.4 / rank / (1 + 1 / 2 + 1 / 3 + 1 / 4) for rank in (1, 2, 3, 4)])


def test_samples_come_at_their_probability() -> None:
    rng, count = Random(0), 20_000
    drawn = Counter(grammar.sample(AMBIGUOUS, rng) for _ in range(count))
    for text, p in _texts(AMBIGUOUS).items():
        assert drawn[text] / count == pytest.approx(p, abs=0.02)
