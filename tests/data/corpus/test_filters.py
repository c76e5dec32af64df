"""Filters that look at one document."""

from __future__ import annotations

import pytest

from llmcycle.data.corpus.filters import Gopher, Length, Removal, Repetition, duplicate_grams, repeated, top_gram

PROSE = (
    "It was a quiet morning, and the harbour lay still. The old man walked to the end of the pier with a basket that "
    "he had carried from the market. He put it down, looked over the water, and began to mend his nets, as he had done "
    "every day for thirty years. Nobody spoke to him until the ferry came and the first visitors of summer went ashore."
)


def reason(filter: Gopher | Length | Repetition, text: str) -> str | None:
    removal = filter.judge()(text)
    return removal.reason if removal else None


def test_length_counts_characters() -> None:
    filter = Length(3, 5)
    assert [reason(filter, "x" * n) for n in (2, 3, 5, 6)] == ["short", None, None, "long"]
    with pytest.raises(ValueError, match="most=2 is below least=3"):
        Length(3, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PROSE, None),
        ("The cat sat on the mat.", "words"),
        (" ".join(f"{word}{word}{word}" for word in PROSE.split()), "word length"),
        (" ".join(f"{word}#" for word in PROSE.split()), "symbols"),
        ("\n".join(f"- {PROSE}" for _ in range(3)), "bullets"),
        ("\n".join(f"{PROSE}..." for _ in range(3)), "ellipses"),
        (" ".join(f"{word} 1234" for word in PROSE.split()), "letters"),
        (" ".join(w for w in PROSE.split() if w.lower() not in ("the", "and", "to", "that", "of")), "stop words"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_gophers_rules_one_by_one(text: str, expected: str | None) -> None:
    assert reason(Gopher(least_words=40), text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PROSE, None),
        ("\n".join(["one line", *PROSE.split(". "), *["one line"] * 3]), "repeated lines"),
        ("\n".join([*"abcdefgh", *PROSE.split(". "), *PROSE.split(". ")[:3]]), "characters of repeated lines"),
        (PROSE.replace(" ", " buy now ", 30), "top gram of 2"),
        (f"{PROSE} {PROSE}", "duplicate grams of 5"),
    ],
    ids=["prose", "lines", "characters", "top", "duplicate"],
)
def test_gophers_rules_of_repetition(text: str, expected: str | None) -> None:
    assert reason(Repetition(), text) == expected


def test_shares_by_hand() -> None:
    assert repeated(["ab", "ab", "c", "ab"], 20) == (0.5, 0.2)
    assert top_gram(["a", "b", "a", "b", "c"], 2) == 4  # "a b" twice, of 2 characters
    assert top_gram(["a", "b", "c"], 2) == 0
    assert duplicate_grams(["a", "b", "c", "a", "b", "c", "d"], 2) == 2  # "a b" again; "b c" overlaps it


def test_the_evidence_is_what_was_measured() -> None:
    assert Length(3).judge()("x") == Removal("short", "1 characters")
