"""What is planted in a judge is found by name and size, and nothing else is."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from judges import PLAIN, Writing, coverage
from tiny_run import Rows

from llmcycle.engine import TransformersEngine
from llmcycle.evaluate.evaluator import compare
from llmcycle.evaluate.judge_audit import JudgeAudit, audit
from llmcycle.evaluate.metric import Metrics
from llmcycle.judge import Judge
from llmcycle.report.caveats import caveats
from llmcycle.report.record import RunFacts, StageRecord

PAIRS = 400


def pair(place: int) -> dict[str, str]:
    """The better answer is kind; every other one is longer."""
    kind, rude = f"please {place}", f"no {place}"
    padded = " and so on and on"
    return {"prompt": f"{place}?", "chosen": kind + padded * (place % 2), "rejected": rude + padded * (1 - place % 2)}


ROWS = Rows([], [pair(place) for place in range(PAIRS)])


def judge(
    first: float = 0.0, second: float = 0.0, longer: float = 0.0, noise: float = 0.0, fails: float = 0.0
) -> Judge:
    """One that goes by the place in some verdicts, by length in others, and is wrong in some of the rest."""

    def reply(question: str) -> str:
        draw = Random(question)
        texts = question.split("|")[1:3]
        kind, long = (0 if "please" in texts[0] else 1), (0 if len(texts[0]) > len(texts[1]) else 1)
        if draw.random() < fails:
            return "hm"
        rest = 1 - first - second - longer
        right = kind if draw.random() >= noise else 1 - kind
        return "AB"[draw.choices([0, 1, long, right], [first, second, longer, rest])[0]]

    return Judge(Writing(reply), PLAIN)


def audited(planted: Judge, engine: TransformersEngine) -> Metrics:
    return compare(None, JudgeAudit(ROWS, planted)(engine))


def named(metrics: Metrics) -> list[str]:
    """The biases that the report names."""
    facts = RunFacts(recipe="judge_audit", command="", seed=None, git=None)
    record = StageRecord("judge_audit", metrics=metrics)
    return [note.partition("prefers ")[2].partition(":")[0] for note in caveats([record], facts) if "prefers" in note]


PLANTED: list[tuple[dict[str, float], str, float, list[str]]] = [
    ({"first": 0.3}, "position_bias", 0.3, ["the answer that it is shown first"]),
    ({"second": 0.3}, "position_bias", -0.3, ["the answer that it is shown second"]),
    ({"longer": 0.3}, "length_bias", 0.3, ["the longer answer"]),
    ({"noise": 0.2}, "noise", 0.2, []),
    ({"first": 0.3, "noise": 0.2}, "noise", 0.2, ["the answer that it is shown first"]),
    ({"longer": 0.3, "noise": 0.2}, "noise", 0.2, ["the longer answer"]),
]


@pytest.mark.parametrize(("planted", "metric", "size", "names"), PLANTED)
def test_what_is_planted_is_named_and_lies_in_its_interval(
    planted: dict[str, float], metric: str, size: float, names: list[str], engine: TransformersEngine
) -> None:
    metrics = audited(judge(**planted), engine)
    low, high = metrics[metric].interval or (math.nan, math.nan)
    assert low <= size <= high
    assert high - low < 0.2
    assert named(metrics) == names


def test_a_perfect_judge_has_kappa_one_and_nothing_else(engine: TransformersEngine) -> None:
    metrics = audited(judge(), engine)
    assert metrics["kappa"].value == 1.0
    assert [metrics[name].value for name in ("position_bias", "length_bias", "noise", "verdicts_failed")] == [0.0] * 4


def test_a_judge_that_looks_at_the_place_alone_has_kappa_zero_and_no_noise_to_tell(engine: TransformersEngine) -> None:
    metrics = audited(judge(first=1.0), engine)
    assert metrics["kappa"].value == 0.0
    assert metrics["position_bias"].value == 1.0
    assert "noise" not in metrics


def test_kappa_is_cohens() -> None:
    """Against the textbook's formula, each pair in both of its orders."""
    draw = Random(0)
    wins = [draw.random() < 0.7 for _ in range(200)]
    found = audit([(float(win), float(win)) for win in wins], [1.0, -1.0] * 100, [str(i) for i in range(200)])
    label = np.array([0, 1] * 200)  # the better answer is shown first, then second
    picked = np.array([side if win else 1 - side for win in wins for side in (0, 1)])
    agree = (label == picked).mean()
    chance = sum((label == side).mean() * (picked == side).mean() for side in (0, 1))
    assert found["kappa"].mean == pytest.approx((agree - chance) / (1 - chance))


def test_failures_are_left_out_and_counted(engine: TransformersEngine) -> None:
    metrics = audited(judge(fails=0.3), engine)
    assert metrics["verdicts_failed"].value == pytest.approx(1 - 0.7**2, abs=0.08)
    assert metrics["kappa"].value == 1.0
    assert metrics["kappa"].n == PAIRS - round(PAIRS * metrics["verdicts_failed"].value)
    with pytest.raises(ValueError, match="choose another judge"):
        audited(judge(fails=1.0), engine)


def test_a_reward_is_a_judge_that_sees_no_order(engine: TransformersEngine) -> None:
    def kindness(prompts: Any, completions: list[str], **_: Any) -> list[float]:
        return [float("please" in text) for text in completions]

    metrics = compare(None, JudgeAudit(ROWS, kindness)(engine))
    assert metrics["kappa"].value == 1.0
    assert "position_bias" not in metrics


@pytest.mark.parametrize(("place", "length", "noise"), [(0.0, 0.0, 0.2), (0.3, 0.0, 0.1), (0.0, 0.3, 0.1)])
def test_intervals_hold_what_was_planted(place: float, length: float, noise: float) -> None:
    """In 300 audits; 1,000 and more settings stand in tests/bench/judges.py."""
    held = coverage(place, length, noise, pairs=300, repeats=300)
    assert all(share > 0.9 for share in held.values()), held
