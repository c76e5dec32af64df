"""The verifier against cases written by hand."""

from __future__ import annotations

import pytest

from llmcycle.data.storefront.verifier import Verdict, Verifier

JUDGE = Verifier(
    {"colour": ("red", "blue"), "material": ("oak", "steel"), "price": ("15", "25", "115")},
    {
        "Alba lamp": {"colour": "red", "material": "oak"},
        "Bero chair": {"colour": "blue", "price": "15"},
        "Cito table": {"colour": "blue", "material": "steel", "price": "115"},
        "Dune shelf": {"colour": "red", "material": "oak", "price": "25"},
    },
)
KNOWN, UNKNOWN, OPEN = "What is the Alba lamp's colour?", "And the Alba lamp's price?", "Should I buy the Alba lamp?"
GOOD = Verdict(True, True, True)

TWO, HALF = "What are the Alba lamp's colour and material?", "What are the Bero chair's colour and material?"
CHEAPER = "Which is cheaper, the Cito table or the Dune shelf?"
NO_PRICE = "Which is cheaper, the Alba lamp or the Dune shelf?"
MATCH, NO_MATCH = (
    "Which product has the colour red and the material oak?",
    "Which has the colour red and the price 115?",
)

CASES = [
    (KNOWN, "red\nQuestion: What is the Alba lamp's material?", Verdict(False, True, True)),
    (KNOWN, "red Answer: red", Verdict(False, True, True)),
    (KNOWN, "red red red", Verdict(False, True, True)),
    (KNOWN, "red<|end|>", Verdict(False, True, True)),
    (KNOWN, "red, and the material is oak", GOOD),
    (UNKNOWN, "The shop does not know.\nUser: Why?", Verdict(False, True, True)),
    (OPEN, "The Alba lamp's colour is red. The Alba lamp's colour is red.", Verdict(False, True, True)),
    (TWO, "red and oak", GOOD),
    (TWO, "oak and red", GOOD),
    (TWO, "The Alba lamp's colour is red and its material is oak.", GOOD),
    (TWO, "red", Verdict(False, True, True)),
    (TWO, "red and steel", Verdict(True, False, True)),
    (TWO, "blue and oak", Verdict(True, False, True)),
    (TWO, "The shop does not know.", Verdict(False, False, True)),
    (TWO, "red and oak, the best in the world", Verdict(True, True, False)),
    (TWO, "", Verdict(False, True, True)),
    (HALF, "blue, and of the material the shop does not know", GOOD),
    (HALF, "blue and oak", Verdict(True, False, True)),
    (HALF, "blue", Verdict(False, False, True)),
    (HALF, "The shop does not know.", Verdict(False, True, True)),
    (CHEAPER, "Dune shelf", GOOD),
    (CHEAPER, "The Dune shelf, for 25.", GOOD),
    (CHEAPER, "the dune shelf is cheaper", GOOD),
    (CHEAPER, "Cito table", Verdict(True, False, True)),
    (CHEAPER, "Dune shelf or Cito table", Verdict(False, False, True)),
    (CHEAPER, "Bero chair", Verdict(False, False, True)),
    (CHEAPER, "Dune table", Verdict(False, True, True)),
    (CHEAPER, "The Dune shelf, for 15.", Verdict(True, False, True)),
    (CHEAPER, "The shop does not know.", Verdict(False, False, True)),
    (CHEAPER, "", Verdict(False, True, True)),
    (CHEAPER, "Dune shelf, buy it now", Verdict(True, True, False)),
    (NO_PRICE, "The shop does not know.", GOOD),
    (NO_PRICE, "Dune shelf", Verdict(True, False, True)),
    (NO_PRICE, "hm", Verdict(False, False, True)),
    (MATCH, "Alba lamp", GOOD),
    (MATCH, "Dune shelf", GOOD),
    (MATCH, "The Alba lamp and the Dune shelf.", GOOD),
    (MATCH, "Cito table", Verdict(True, False, True)),
    (MATCH, "Alba lamp or Cito table", Verdict(True, False, True)),
    (MATCH, "Alba chair", Verdict(False, False, True)),
    (MATCH, "The shop does not know.", Verdict(False, False, True)),
    (MATCH, "", Verdict(False, True, True)),
    (NO_MATCH, "The shop does not know.", GOOD),
    (NO_MATCH, "Alba lamp", Verdict(True, False, True)),
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
    assert JUDGE.subject(shots) == (("Bero chair",), (), ())
    assert JUDGE.subject(f"Question: {OPEN}\nAnswer: red\nQuestion: {UNKNOWN}\nAnswer:") == (
        ("Alba lamp",),
        ("price",),
        (),
    )
    assert JUDGE.subject(MATCH) == ((), ("colour", "material"), (("colour", "red"), ("material", "oak")))


def test_a_name_put_together_from_two_is_malformed() -> None:
    assert JUDGE.malformed("The Alba chair.")
    assert not JUDGE.malformed("The Alba lamp, not a chair.")
