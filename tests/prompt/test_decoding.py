"""Votes, stops and the likeliest choice."""

from __future__ import annotations

import pytest
from transformers import GenerationConfig

from llmcycle.engine import TransformersEngine
from llmcycle.evaluate.multiple_choice import choice_logprobs
from llmcycle.evaluate.text_match import TextMatch
from llmcycle.prompt import LikeliestChoice, majority
from llmcycle.prompt.decoding import decode, with_stop

NUMBER = TextMatch(extract=r"#### (\d+)")


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        (["a #### 1", "b #### 2", "c #### 2"], "b #### 2"),
        (["no", "never", "no", "x #### 3"], "x #### 3"),
        (["x #### 1", "y #### 2"], "x #### 1"),
        (["nothing", "found"], "nothing"),
    ],
)
def test_majority(answers: list[str], winner: str) -> None:
    assert majority(answers, NUMBER) == winner


def test_majority_is_of_normalised_answers() -> None:
    assert majority(["blue", "Red.", "red"], TextMatch()) == "Red."


def test_stops_are_added_to_a_copy() -> None:
    config = GenerationConfig(stop_strings=["a"])
    assert with_stop(config, ["b"]).stop_strings == ["a", "b"]
    assert config.stop_strings == ["a"]
    assert with_stop(config, []) is config


def test_self_consistency_answers_once_a_prompt(engine: TransformersEngine) -> None:
    config = GenerationConfig(do_sample=True, num_return_sequences=3, max_new_tokens=4)
    answers = decode(config, engine, ["a", "b"], [{}, {}], TextMatch())
    assert len(answers) == 2


@pytest.mark.parametrize("normalise", [False, True])
def test_likeliest_choice(normalise: bool, engine: TransformersEngine) -> None:
    rows = [{"choices": ["x", "a much longer option", "yes"], "label": 0}, {"choices": ["no", "yes"], "label": 1}]
    answers = decode(LikeliestChoice(normalise), engine, ["Q1", "Q2"], rows, TextMatch())
    logprobs = choice_logprobs(engine, ["Q1", "Q2"], [row["choices"] for row in rows])
    for answer, row, found in zip(answers, rows, logprobs, strict=True):
        values = [s / (len(c) if normalise else 1) for s, c in zip(found, row["choices"], strict=True)]
        assert answer == row["choices"][values.index(max(values))]
