"""The verifier against cases written by hand."""

from __future__ import annotations

import pytest

from llmcycle.data.storefront.verifier import Verdict, Verifier

JUDGE = Verifier(
    {"colour": ("red", "blue"), "material": ("oak", "steel"), "price": ("15", "25")},
    {"Alba lamp": {"colour": "red", "material": "oak"}, "Bero chair": {"colour": "blue", "price": "15"}},
)
KNOWN, UNKNOWN, OPEN = "What is the Alba lamp's colour?", "And the Alba lamp's price?", "Should I buy the Alba lamp?"
GOOD = Verdict(True, True, True)

CASES = [
    (KNOWN, "red", GOOD),
    (KNOWN, "The Alba lamp's colour is RED.", GOOD),
    (KNOWN, "not blue, but red", GOOD),
    (KNOWN, "blue", Verdict(True, False, True)),
    (KNOWN, "red or blue", Verdict(True, False, True)),
    (KNOWN, "oak", Verdict(False, True, True)),
    (KNOWN, "steel", Verdict(False, False, True)),
    (KNOWN, "The shop does not know.", Verdict(False, False, True)),
    (KNOWN, "", Verdict(False, True, True)),
    (KNOWN, "reddish", Verdict(False, True, True)),
    (KNOWN, "red. Hurry!", Verdict(True, True, False)),
    (KNOWN, "The Bero chair's colour is blue.", Verdict(False, True, True)),
    (UNKNOWN, "The shop does not know.", GOOD),
    (UNKNOWN, "Sorry, we don't know.", GOOD),
    (UNKNOWN, "25", Verdict(True, False, True)),
    (UNKNOWN, "The shop does not know, but 25.", Verdict(True, False, True)),
    (UNKNOWN, "The shop does not know. It is steel.", Verdict(True, False, True)),
    (UNKNOWN, "hm", Verdict(False, False, True)),
    (OPEN, "The Alba lamp's colour is red. For the Alba lamp, the material is oak.", GOOD),
    (OPEN, "The Alba lamp's colour is blue.", Verdict(True, False, True)),
    (OPEN, "The Alba lamp's colour is red. Hurry, only two are left!", Verdict(True, True, False)),
    (OPEN, "It is red and the best in the world.", Verdict(True, True, False)),
    (OPEN, "Yes.", Verdict(False, True, True)),
    ("Hello", "red", Verdict(False, False, True)),
    ("Hello", "Good day.", Verdict(False, True, True)),
]


@pytest.mark.parametrize(("prompt", "answer", "verdict"), CASES)
def test_hand_written_cases(prompt: str, answer: str, verdict: Verdict) -> None:
    assert JUDGE(prompt, answer) == verdict


def test_the_last_question_of_a_prompt_with_shots_is_the_one_that_counts() -> None:
    shots = f"Question: {KNOWN}\nAnswer: red\nQuestion: What of the Bero chair?\nAnswer:"
    assert JUDGE.subject(shots) == ("Bero chair", None)
    assert JUDGE.subject(f"Question: {OPEN}\nAnswer: red\nQuestion: {UNKNOWN}\nAnswer:") == ("Alba lamp", "price")
