"""Rewards on an answer's text or length, by hand."""

from __future__ import annotations

import pytest

from llmcycle.align.rewards import Length, Match, Number, Regex
from llmcycle.config import compose, locate
from llmcycle.evaluate.text_match import TextMatch

GSM8K = TextMatch(extract=r"####\s*(-?[\d.,]*\d)", ignore=[","])


def test_match_finds_the_last_number_after_the_mark() -> None:
    answers = ["3 + 4 = 7\n#### 7", "#### 1,200", "5 * 2\n#### 10", "#### -2"]
    completions = ["First #### 3, no: #### 7.", "it is #### 1200", "the answer is 10", "####-2"]
    rewards = Match(GSM8K)(prompts=[""] * 4, completions=completions, answer=answers)
    assert rewards == [1, 1, 0, 1]


def test_match_of_the_whole_answer() -> None:
    rewards = Match()(prompts=["", "", ""], completions=["blue", "blue lamp", ""], answer=["blue"] * 3)
    assert rewards == [1, 0, 0]


def test_match_names_the_columns_there_are() -> None:
    with pytest.raises(ValueError, match=r"no column answer, only question, kind.*data\.columns\.answer"):
        Match(GSM8K)(prompts=[""], completions=[""], question=[""], kind=[""])


def test_a_pattern_is_found_anywhere_or_must_match_the_whole() -> None:
    texts = ["it is 12", " 12\n", "twelve"]
    assert Regex(r"\d+")(prompts=[""] * 3, completions=texts) == [1, 1, 0]
    assert Regex(r"\d+", whole=True)(prompts=[""] * 3, completions=texts) == [0, 1, 0]


def test_what_is_no_pattern_is_refused_before_anything_is_built() -> None:
    with pytest.raises(ValueError, match=r"pattern: '\(' is no regular expression"):
        Regex.preflight(pattern="(")


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("<think>2 + 2\nis 4</think>\n<answer>4</answer>", 1),
        ("<think></think><answer>4</answer>  ", 1),
        ("<answer>4</answer>", 0),
        ("<think>a</think> so <answer>4</answer>", 0),
        ("<think>a<think>b</think><answer>4</answer>", 0),
        ("<think>a</think><answer>4</answer><answer>5</answer>", 0),
        ("<think>a</think><answer>4</answer> done", 0),
    ],
)
def test_the_form_of_reasoning_and_answer(text: str, reward: float) -> None:
    """The pattern of `reward=format`: one block of each, and nothing around them."""
    option = compose(locate("rlvr"), ["reward=format"]).reward
    assert Regex(option.pattern, option.whole)(prompts=[""], completions=[text]) == [reward]


@pytest.mark.parametrize(
    ("completion", "answer", "reward"),
    [
        ("3 + 4 = 7.", "#### 7", 1),
        ("so 1,200", "1200", 1),
        ("1200.0 euros", 1200, 1),
        ("-3", "3", 0),
        ("10-3", "3", 1),  # a hyphen, or a minus between two numbers, is no sign
        ("it is \N{MINUS SIGN}3", "-3", 1),
        ("2.5e3", "2500", 1),
        (".5", "0.5", 1),
        ("seven", "7", 0),
        ("3.0001", "3", 0),
        ("7", "seven", None),
        ("1,2", "2", 1),  # no thousands: two numbers
    ],
)
def test_the_last_number_is_compared(completion: str, answer: object, reward: float | None) -> None:
    assert Number()(prompts=[""], completions=[completion], answer=[answer]) == [reward]


def test_numbers_are_equal_within_their_tolerance() -> None:
    answers = {"completions": ["3.2", "3.4"], "answer": ["3", "3"]}
    assert Number(tolerance=0.1)(prompts=["", ""], **answers) == [1, 0]


def test_length_costs_by_the_token() -> None:
    ids = [[1] * 3, [1] * 5, [1] * 9]
    arguments = {"prompts": [""] * 3, "completions": [""] * 3, "completion_ids": ids}
    assert Length(target=5, penalty=0.1)(**arguments) == pytest.approx([-0.2, 0, -0.4])
    assert Length(target=5, penalty=0.1, shorter=False)(**arguments) == pytest.approx([0, 0, -0.4])


def test_length_needs_the_tokens() -> None:
    with pytest.raises(ValueError, match="completion_ids: this reward counts"):
        Length(target=5, penalty=0.1)(prompts=[""], completions=["a"])
