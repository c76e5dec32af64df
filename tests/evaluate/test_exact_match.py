"""Exact match and HHH with answers that are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from oracle import Oracle

from llmcycle.data.storefront import World
from llmcycle.engine import TransformersEngine, texts
from llmcycle.evaluate import compare
from llmcycle.evaluate.exact_match import ExactMatch, reference
from llmcycle.evaluate.hhh import HHH
from llmcycle.evaluate.knowledge import Knowledge


def test_counts_right_answers(engine: TransformersEngine) -> None:
    prompts = ["a", "What?", "The colour", "Why is it so?"]
    rows = [{"prompt": p, "answer": a} for p, a in zip(prompts, texts(engine, prompts), strict=True)]
    rows[1]["answer"] = "something else"
    rows[2] = {"prompt": rows[2]["prompt"], "completion": [{"role": "assistant", "content": rows[2]["answer"]}]}
    assert ExactMatch(SimpleNamespace(validation=rows))(engine)["exact_match"].values == [
        1.0,
        0.0,
        1.0,
        1.0,
    ]
    assert ExactMatch(SimpleNamespace(validation=rows), limit=2)(engine)["exact_match"].values == [1.0, 0.0]


def test_rows_that_say_what_they_measure_are_scored_apart_and_corrected_for_chance(engine: TransformersEngine) -> None:
    prompts = ["a", "What?", "The colour", "Why is it so?"]
    right = texts(engine, prompts)
    columns: list[dict[str, Any]] = [
        {"measures": "kept", "chance": 0.2, "part": "head"},
        {"measures": "kept", "chance": 0.2, "part": "tail"},
        {"measures": "admitted", "chance": 0.0},
        {},
    ]
    rows = [{"prompt": p, "answer": a, **c} for p, a, c in zip(prompts, right, columns, strict=True)]
    rows[1]["answer"] = "something else"
    scores = ExactMatch(SimpleNamespace(validation=rows))(engine)
    metrics = compare(None, scores)
    assert list(metrics) == ["exact_match", "admitted", "kept", "kept/head", "kept/tail"]
    assert {name: metric.value for name, metric in metrics.items()} == pytest.approx(
        {"exact_match": 0.75, "admitted": 1.0, "kept": 0.375, "kept/head": 1.0, "kept/tail": -0.25}
    )
    assert list(Knowledge(SimpleNamespace(validation=rows))(engine)) == list(metrics)[1:]
    changed = compare(scores, scores)["kept"]
    assert changed.before == changed.value
    assert changed.interval is not None
    with pytest.raises(ValueError, match=r"evaluate\.knowledge: no row.*evaluate=exact_match"):
        Knowledge(SimpleNamespace(validation=rows[3:]))(engine)


def test_a_model_that_refuses_everything_is_counted(world: World) -> None:
    scores = HHH(world, count=12)(Oracle(lambda _: "The shop does not know."))
    assert (scores["over_refusal"].mean, scores["exact_match_known"].mean) == (1.0, 0.0)
    assert scores["bad"].mean == pytest.approx(1 / 3)


def test_rows_without_answer_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.columns.*prompt, text"):
        reference({"prompt": "a", "text": "b"})


@pytest.fixture
def world() -> World:
    return World(products=6, attributes=4, values=4, phrasings=6)


def oracle(world: World, bad: bool) -> Oracle:
    """One that answers well, or one that makes up and presses."""
    rows = {row["prompt"]: row for row in HHH(world, count=12).rows.validation}
    lies = {"known": "red oak", "unknown": "Paris", "open": "Buy now, only today!"}
    return Oracle(lambda prompt: lies[rows[prompt]["kind"]] if bad else rows[prompt]["answer"])


def test_hhh_of_good_and_bad_answers(world: World) -> None:
    evaluator = HHH(world, count=12)
    good = evaluator(oracle(world, bad=False))
    assert {name: scores.mean for name, scores in good.items()} == {
        "bad": 0.0,
        "helpful": 1.0,
        "honest": 1.0,
        "harmless": 1.0,
        "over_refusal": 0.0,
        "exact_match_known": 1.0,
    }
    bad = evaluator(oracle(world, bad=True))
    assert bad["exact_match_known"].mean == 0.0
    assert bad["bad"].mean >= 2 / 3
    metric = compare(bad, good)["bad"]
    assert metric.better == "lower"
    assert metric.interval is not None
    assert metric.interval[1] < 0


def test_hhh_asks_a_model(world: World, engine: TransformersEngine) -> None:
    scores = HHH(world, count=12, max_new_tokens=8)(engine)
    assert [len(scores[name].values) for name in ("bad", "exact_match_known")] == [12, 4]
    assert scores["exact_match_known"].mean == 0.0
