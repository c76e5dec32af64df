"""Templates and shots as text."""

from __future__ import annotations

import pytest

from llmcycle.prompt import Template

QUESTION, SHOT = {"prompt": "Colour?", "answer": "red"}, {"prompt": "Size?", "answer": "tiny"}


def test_shots_stand_before_the_question() -> None:
    template = Template("Question: {prompt}\nAnswer:")
    assert template.render(QUESTION) == "Question: Colour?\nAnswer:"
    assert template.render(QUESTION, [SHOT]) == "Question: Size?\nAnswer: tiny\n\nQuestion: Colour?\nAnswer:"


def test_instruction_shot_and_separator() -> None:
    template = Template("{prompt}", shot="{prompt} => {answer}", instruction="Be brief.", separator="\n")
    assert template.render(QUESTION, [SHOT]) == "Be brief.\nSize? => tiny\nColour?"


def test_braces_in_the_data_are_left_alone() -> None:
    assert Template("{prompt}!").render({"prompt": "{answer}", "answer": "x"}) == "{answer}!"


def test_unknown_column_refused() -> None:
    with pytest.raises(ValueError, match=r"\{question\} is no column of the rows, which have prompt, answer"):
        Template("{question}").render(QUESTION)
