"""When two answers are the same."""

from __future__ import annotations

import pytest

from llmcycle.evaluate.text_match import TextMatch

GSM8K = TextMatch(extract=r"####\s*(-?[\d.,]*\d)", ignore=[","])


@pytest.mark.parametrize(
    ("prediction", "reference", "equal"),
    [
        (" Red.\n", "red", True),
        ("two   words", "Two words", True),
        ("\uff52\uff45\uff44", "red", True),
        ("red lamp", "red", False),
        ("", "red", False),
        ("3.5", "3.5.", True),
    ],
)
def test_normalisation(prediction: str, reference: str, equal: bool) -> None:
    assert TextMatch()(prediction, reference) is equal


@pytest.mark.parametrize(
    ("prediction", "reference", "equal"),
    [
        ("so 5+5\n#### 10", "long\n#### 10", True),
        ("#### 3 no wait #### 1,000", "1000", True),
        ("#### 1,000.", "#### 1000", True),
        ("the answer is 10", "#### 10", False),
        ("#### -4", "#### 4", False),
    ],
)
def test_extraction(prediction: str, reference: str, equal: bool) -> None:
    assert GSM8K(prediction, reference) is equal


def test_nothing_to_extract() -> None:
    assert GSM8K.answer("ten") is None
    assert TextMatch(extract=r"\d+").answer("3 or 4") == "4"


@pytest.mark.parametrize(("text", "answer"), [("#### 5", "5"), ("so it is 7 apples.", "7")])
def test_alternatives_of_an_extraction(text: str, answer: str) -> None:
    assert TextMatch(extract=r"####\s*(\d+)|(\d+)\D*$").answer(text) == answer
