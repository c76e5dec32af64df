"""Win rates against the rows' own answers, and what is left of them at equal length."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from judges import PLAIN, Writing, kinder
from scipy.optimize import minimize
from tiny_run import Rows
from transformers import GenerationConfig

from llmcycle.engine import TransformersEngine, texts
from llmcycle.evaluate.evaluator import compare
from llmcycle.evaluate.length_control import length_controlled, length_term
from llmcycle.evaluate.logistic import RIDGE, sigmoid
from llmcycle.evaluate.win_rate import WinRate, rates
from llmcycle.judge import Judge

FEW = GenerationConfig(max_new_tokens=5)


def test_answers_are_held_against_the_rows_own(engine: TransformersEngine) -> None:
    own = ["please", "no", [{"role": "assistant", "content": "please"}], ""]
    rows = Rows([], [{"prompt": f"{i}?", "completion": text} for i, text in enumerate(own)])
    found = WinRate(rows, Judge(Writing(kinder), PLAIN), FEW)(engine)
    assert found["win_rate"].values == [0.0, 0.5, 0.0, 0.5]
    assert found["ties"].values == [0.0, 1.0, 0.0, 1.0]
    assert {shown["got"] for shown in found["win_rate"].shown or ()} == set(
        texts(engine, ["0?", "1?", "2?", "3?"], FEW)
    )


def test_a_reward_judges_by_the_higher_value_and_sees_columns_and_tokens(engine: TransformersEngine) -> None:
    def tokens(prompts: Any, completions: Any, completion_ids: Any, worth: Any, **_: Any) -> list[float]:
        return [len(ids) * factor for ids, factor in zip(completion_ids, worth, strict=True)]

    rows = Rows([], [{"prompt": f"{i}?", "answer": "x" * 9, "worth": factor} for i, factor in enumerate((1, -1, 0))])
    assert WinRate(rows, tokens, FEW)(engine)["win_rate"].values == [0.0, 1.0, 0.5]


def test_failures_weigh_nothing_and_are_counted(engine: TransformersEngine) -> None:
    judge = Judge(Writing(lambda question: "A" if question[0] == "0" else "hm" if question[0] == "1" else "tie"), PLAIN)
    rows = Rows([], [{"prompt": f"{i}?", "completion": "x"} for i in range(4)])
    metrics = compare(None, WinRate(rows, judge, FEW)(engine))
    assert metrics["win_rate"].value == 0.5
    assert metrics["ties"].value == 1.0
    assert metrics["verdicts_failed"].value == 0.25
    with pytest.raises(ValueError, match="no verdict on any of 4 rows"):
        WinRate(rows, Judge(Writing(lambda _: "hm"), PLAIN), FEW)(engine)


def test_the_regression_is_the_likeliest_one() -> None:
    """Against scipy's minimiser of the same likelihood, with shares and weights."""
    draw = np.random.default_rng(0)
    wins, longer, weights = draw.random(80), draw.normal(size=80), draw.integers(0, 3, 80).astype(float)
    columns = np.stack([np.ones(80), length_term(longer.tolist())], axis=1)

    def loss(beta: Any) -> float:
        p = sigmoid(columns @ beta)
        return float(-(weights * (wins * np.log(p) + (1 - wins) * np.log(1 - p))).sum() + RIDGE / 2 * beta @ beta)

    best = minimize(loss, np.zeros(2), tol=1e-10).x
    values = length_controlled(wins.tolist(), longer.tolist(), weights.tolist())
    assert np.mean(values) == pytest.approx(sigmoid(best)[0], abs=1e-5)


def drawn(draw: np.random.Generator, rows: int, strength: float, liking: float) -> tuple[list[float], list[float]]:
    longer = draw.normal(0.7, 1, rows)
    chance = sigmoid(strength + liking * np.tanh(longer / longer.std()))
    return (draw.random(rows) < chance).astype(float).tolist(), longer.tolist()


def test_a_liking_for_length_is_taken_out_and_intervals_hold_the_truth() -> None:
    """Of two equally good models one writes longer: 400 repeats."""
    draw, held, plain = np.random.default_rng(1), 0, []
    for _ in range(400):
        found = compare(None, rates(*drawn(draw, 200, 0.0, 1.5), [str(i) for i in range(200)]))
        low, high = found["win_rate_at_equal_length"].interval or (1.0, 0.0)
        held += low <= 0.5 <= high
        plain.append(found["win_rate"].value)
    assert np.mean(plain) > 0.6
    assert 0.92 < held / 400 < 0.98


@pytest.mark.parametrize("win", [0.0, 1.0])
def test_a_model_that_always_wins_has_finite_numbers(win: float) -> None:
    longer = [Random(i).random() for i in range(50)]
    found = rates([win] * 50, longer, [str(i) for i in range(50)])
    assert found["win_rate_at_equal_length"].mean == pytest.approx(win, abs=0.01)
    assert rates([win] * 50, [0.0] * 50, list("x" * 50))["win_rate_at_equal_length"].mean == pytest.approx(
        win, abs=0.01
    )
