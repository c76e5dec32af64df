"""Calibration of answers on engines whose true calibration is known."""

from __future__ import annotations

from math import log
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from llmcycle.engine import Answer, Engine
from llmcycle.evaluate import mean_interval
from llmcycle.evaluate.answer_calibration import AnswerCalibration, surest
from llmcycle.evaluate.calibration import calibration_errors, held_out_errors


class Planted(Engine):
    """Is right with probability p and says to be sure by `says(p)`; p is uniform on the upper half."""

    offers = frozenset({"answer"})

    def __init__(self, seed: int, says: Any) -> None:
        self.draws, self.says = Random(seed), says

    def answer(self, prompts: Any, generation: Any = None, logprobs: bool = False) -> list[list[Answer]]:
        return [[self.one(logprobs)] for _ in prompts]

    def one(self, logprobs: bool) -> Answer:
        p = self.draws.uniform(0.5, 1.0)
        told = (log(self.says(p)) / 2,) * 2 if logprobs else None
        return Answer("yes" if self.draws.random() < p else "no", "stop", (1, 2), told)


ROWS = SimpleNamespace(validation=[{"prompt": str(n), "answer": "yes"} for n in range(600)])


def planted(seed: int, says: Any, **settings: Any) -> dict[str, Any]:
    return AnswerCalibration(ROWS, **settings)(Planted(seed, says))


def over(p: float) -> float:
    """Wrong twice as rarely as it thinks: by 0.125 on average."""
    return 1 - (1 - p) / 2


def covers(interval: tuple[float, float], truth: float) -> bool:
    return interval[0] <= truth <= interval[1]


def test_a_calibrated_model_has_no_error() -> None:
    scores = planted(2, lambda p: p)
    assert covers(mean_interval(scores["answer_calibration_error"].values), 0.0)
    assert covers(mean_interval(scores["overconfidence"].values), 0.0)
    assert scores["brier"].mean == pytest.approx(0.75 - 7 / 12, abs=0.03), "E p (1 - p)"
    assert scores["risk_at_50"].mean == pytest.approx(0.125, abs=0.04), "the upper half of p"
    assert scores["risk_at_80"].mean == pytest.approx(0.2, abs=0.04)


def test_an_over_confident_model_errs_by_as_much_as_was_planted() -> None:
    scores = planted(1, over)
    for name in ("answer_calibration_error", "overconfidence"):
        assert covers(mean_interval(scores[name].values), 0.125), name
    assert scores["confidence"].mean == pytest.approx(0.875, abs=0.02)
    modest = planted(1, lambda p: p / 2)
    assert modest["overconfidence"].mean == pytest.approx(-0.375, abs=0.04)
    assert modest["answer_calibration_error"].mean == pytest.approx(0.375, abs=0.04)


@pytest.mark.parametrize(("says", "truth"), [(lambda p: p, 0.0), (over, 0.125)])
def test_the_interval_covers_the_error(says: Any, truth: float) -> None:
    covered = naive = 0
    for seed in range(200):
        engine = Planted(seed, says)
        answers = [engine.one(True) for _ in range(400)]
        sure = [2.718281828459045 ** sum(answer.logprobs or ()) for answer in answers]
        right = [float(answer.text == "yes") for answer in answers]
        covered += covers(mean_interval(held_out_errors(sure, right)), truth)
        naive += covers(mean_interval(calibration_errors(sure, right)), truth)
    assert covered >= 182, "95 % of 200 are 190, with a standard error of 3"
    assert truth or naive < 150, "the usual estimate is above 0 for a model without a fault"


def test_a_confidence_a_token_is_the_geometric_mean() -> None:
    whole, each = planted(0, lambda p: p), planted(0, lambda p: p, confidence="token")
    assert each["confidence"].values == pytest.approx([value**0.5 for value in whole["confidence"].values])


def test_answers_that_tie_at_the_edge_share_what_is_left() -> None:
    assert surest([0.9, 0.5, 0.5, 0.1], 50) == [1.0, 0.5, 0.5, 0.0]
    assert surest([0.4, 0.3, 0.2, 0.1], 25) == [1.0, 0.0, 0.0, 0.0]
    assert surest([0.5] * 4, 80) == pytest.approx([0.8] * 4)


def test_what_can_not_be_told_is_refused() -> None:
    with pytest.raises(ValueError, match=r"100 is no percentage below 100\n  try: coverages"):
        AnswerCalibration(ROWS, coverages=[100])
    silent = SimpleNamespace(answer=lambda prompts, *_, **__: [[Answer("yes", "stop")] for _ in prompts])
    with pytest.raises(ValueError, match="does not tell how likely"):
        AnswerCalibration(ROWS)(silent)  # type: ignore[arg-type]
