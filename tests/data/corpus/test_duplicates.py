"""Duplicates: exact ones by normal form, near ones by MinHash, measured on planted ones."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from llmcycle.data.corpus.duplicates import Exact, MinHash
from llmcycle.data.corpus.text import ngrams, words

DISTINCT, COPIED = 500, 300  # documents, and how many of them have a near-duplicate

# A vocabulary with the frequencies of language: a few words make up much of every text.
VOCABULARY = [
    f"{a}{b}{c}" for a in "bdfgklmnprst" for b in ("a", "en", "ir", "ol", "u") for c in ("", "ta", "ke", "rim")
]
WEIGHTS = [1 / rank for rank in range(1, len(VOCABULARY) + 1)]


def text(random: Random) -> str:
    return " ".join(random.choices(VOCABULARY, WEIGHTS, k=random.randint(60, 400)))


def substituted(found: list[str], random: Random) -> list[str]:
    return [random.choice(VOCABULARY) if random.random() < 0.05 else word for word in found]


def deleted(found: list[str], random: Random) -> list[str]:
    return [word for word in found if random.random() > 0.05]


def framed(found: list[str], random: Random) -> list[str]:
    extra = len(found) // 10
    return [*random.choices(VOCABULARY, k=extra), *found, *random.choices(VOCABULARY, k=extra)]


def cut(found: list[str], random: Random) -> list[str]:
    return found[: len(found) * 4 // 5]


def dressed(found: list[str], random: Random) -> list[str]:
    return [word.upper() + random.choice((",", ".", "!", "")) for word in found]


EDITS = (substituted, deleted, framed, cut, dressed)


def planted(seed: int) -> Iterator[tuple[str, bool]]:
    """Texts in random order, and whether each is a near-duplicate of another one."""
    random = Random(seed)
    originals = [text(random) for _ in range(DISTINCT)]
    copies = [" ".join(EDITS[i % 5](original.split(), random)) for i, original in enumerate(originals[:COPIED])]
    later = list(zip(copies, [True] * COPIED, strict=True))
    yield from ((one, False) for one in originals)
    random.shuffle(later)
    yield from later


@pytest.mark.parametrize("seed", [0, 1])
def test_minhash_removes_planted_near_duplicates_and_keeps_distinct_documents(seed: int) -> None:
    judge = MinHash().judge()
    found = [(copied, judge(one) is not None) for one, copied in planted(seed)]
    caught = sum(removed for copied, removed in found if copied) / COPIED
    lost = sum(removed for copied, removed in found if not copied) / DISTINCT
    print(f"removed {caught:.1%} of planted near-duplicates, {lost:.1%} of distinct documents")
    assert caught >= 0.95
    assert lost <= 0.01


def test_the_estimate_is_the_jaccard_similarity() -> None:
    random = Random(0)
    filter = MinHash(permutations=256)
    for edit in EDITS:
        one = text(random).split()
        pair = [" ".join(one), " ".join(edit(one, random))]
        first, second = (set(ngrams(words(each), 3).tolist()) for each in pair)
        estimate = filter.sketch(pair[0]).jaccard(filter.sketch(pair[1]))
        assert estimate == pytest.approx(len(first & second) / len(first | second), abs=0.12)


def test_the_threshold_decides() -> None:
    random = Random(0)
    one = text(random).split()
    halves = [" ".join(one), " ".join([*one[: len(one) // 2], *random.choices(VOCABULARY, k=len(one) // 2)])]
    for threshold, expected in ((0.2, True), (0.5, False)):
        judge = MinHash(threshold).judge()
        assert [judge(each) is not None for each in halves] == [False, expected]
    with pytest.raises(ValueError, match="threshold=0"):
        MinHash(0)


def test_short_documents_are_compared_whole() -> None:
    judge = MinHash().judge()
    assert [judge(one) is not None for one in ("good day", "good night", "Good day!", "", " ")] == [
        *(False, False, True),
        *(False, True),
    ]


def test_exact_duplicates_are_those_of_one_normal_form() -> None:
    judge = Exact().judge()
    pairs = [("Caf\u00e9  au lait", False), ("cafe\u0301 au\nlait ", True), ("cafe au lait", False)]
    assert [judge(one) is not None for one, _ in pairs] == [expected for _, expected in pairs]
    assert Exact().judge()("cafe au lait") is None, "each judge begins anew"
