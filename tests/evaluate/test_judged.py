"""Scores of models of ratings and of steps, against what they were told to say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from conftest import byte_tokenizer

from llmcycle.evaluate.ratings import RatingAgreement
from llmcycle.evaluate.steps import StepAccuracy, first_wrong

RATED = [{"prompt": f"{i}? ", "completion": "x" * i, "rating": float(i)} for i in range(1, 9)]
ANSWERS = [
    {"prompt": "a", "steps": ["one", "two", "three"], "labels": [True, False, False]},
    {"prompt": "b", "steps": ["one"], "labels": [True]},
    {"prompt": "c", "steps": ["one", "two"], "labels": [1, 1]},
]


def engine(**methods: Any) -> Any:
    return SimpleNamespace(tokenizer=byte_tokenizer(), offers=frozenset(methods), **methods)


def test_agreement_with_ratings() -> None:
    """A score that rises with the square of the rating has all of its ranks right, and not its sizes."""
    squares = engine(reward=lambda rows: [row["rating"] ** 2 for row in RATED])
    scores = RatingAgreement(SimpleNamespace(validation=RATED))(squares)
    assert scores["rating_spearman"].mean == pytest.approx(1)
    assert 0.9 < scores["rating_pearson"].mean < 0.99
    assert scores["rating_error"].mean == pytest.approx(sum(i * i - i for i in range(1, 9)) / 8)


def test_steps_and_the_first_wrong_one() -> None:
    judged = engine(steps=lambda rows: [[1.0, -1.0, 2.0], [-1.0], [1.0, 1.0]])
    scores = StepAccuracy(SimpleNamespace(validation=ANSWERS))(judged)
    assert scores["step_accuracy"].mean == pytest.approx(4 / 6)  # over steps, not over answers
    assert scores["first_error"].values == [1.0, 0.0, 1.0]


def test_the_first_wrong_step() -> None:
    assert [first_wrong(steps) for steps in ([True, False], [False], [True], [])] == [1, 0, 1, 0]


def test_a_row_without_its_column_is_refused() -> None:
    with pytest.raises(ValueError, match="it has no `rating`"):
        RatingAgreement(SimpleNamespace(validation=[{"prompt": "a", "completion": "b"}]))(engine(reward=len))
