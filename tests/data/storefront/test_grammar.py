"""The grammar's probabilities and entropies against enumeration."""

from __future__ import annotations

from collections import Counter
from math import log
from random import Random

import pytest

from llmcycle.data.storefront import World, grammar

SMALL = World(products=2, attributes=3, values=2, unknown=1, phrasings=2, facts=2, seed=3)
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


def test_entropy_of_every_document_equals_enumeration() -> None:
    texts = _texts(SMALL.documents)
    assert sum(texts.values()) == pytest.approx(1)
    assert all(SMALL.entropy(text) == pytest.approx(-log(p)) for text, p in texts.items())
    assert SMALL.entropy("The shop never writes this.") == float("inf")


def test_expected_entropy_equals_enumeration_since_no_document_is_ambiguous() -> None:
    derivations = list(grammar.derivations(SMALL.documents))
    assert len(derivations) == len({text for _, text in derivations})
    assert SMALL.expected_entropy == pytest.approx(-sum(p * log(p) for p, _ in derivations))


def test_samples_come_at_their_probability() -> None:
    rng, count = Random(0), 20_000
    drawn = Counter(grammar.sample(AMBIGUOUS, rng) for _ in range(count))
    for text, p in _texts(AMBIGUOUS).items():
        assert drawn[text] / count == pytest.approx(p, abs=0.02)
