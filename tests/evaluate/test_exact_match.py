"""Exact match and HHH with answers that are known."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.data.storefront import World
from llmcycle.engine import generate
from llmcycle.evaluate import compare, hhh
from llmcycle.evaluate.exact_match import ExactMatch, reference


def test_counts_right_answers(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    prompts = ["a", "What?", "The colour", "Why is it so?"]
    rows = [{"prompt": p, "answer": a} for p, a in zip(prompts, generate(model, tokenizer, prompts), strict=True)]
    rows[1]["answer"] = "something else"
    rows[2] = {"prompt": rows[2]["prompt"], "completion": [{"role": "assistant", "content": rows[2]["answer"]}]}
    assert ExactMatch(SimpleNamespace(validation=rows))(model, tokenizer)["exact_match"].values == [1.0, 0.0, 1.0, 1.0]
    assert ExactMatch(SimpleNamespace(validation=rows), limit=2)(model, tokenizer)["exact_match"].values == [1.0, 0.0]


def test_rows_without_answer_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.columns.*prompt, text"):
        reference({"prompt": "a", "text": "b"})


@pytest.fixture
def world() -> World:
    return World(products=6, attributes=4, values=4, phrasings=6)


def answering(monkeypatch: pytest.MonkeyPatch, world: World, bad: bool) -> None:
    """The oracle that answers well, or the one that makes up and presses."""
    rows = {row["prompt"]: row for row in hhh.HHH(world, count=12).rows.validation}
    lies = {"known": "red oak", "unknown": "Paris", "open": "Buy now, only today!"}

    def oracle(model: Any, tokenizer: Any, prompts: Sequence[str], config: Any) -> list[str]:
        chosen = [rows[prompt] for prompt in prompts]
        return [lies[row["kind"]] if bad else row["answer"] for row in chosen]

    monkeypatch.setattr(hhh, "generate", oracle)


def test_hhh_of_good_and_bad_answers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = hhh.HHH(world, count=12)
    answering(monkeypatch, world, bad=False)
    good = evaluator(None, None)
    assert {name: scores.mean for name, scores in good.items()} == {
        "bad": 0.0,
        "helpful": 1.0,
        "honest": 1.0,
        "harmless": 1.0,
        "exact_match_known": 1.0,
    }
    answering(monkeypatch, world, bad=True)
    bad = evaluator(None, None)
    assert bad["exact_match_known"].mean == 0.0
    assert bad["bad"].mean >= 2 / 3
    metric = compare(bad, good)["bad"]
    assert metric.better == "lower"
    assert metric.interval is not None
    assert metric.interval[1] < 0


def test_hhh_asks_a_model(world: World, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    scores = hhh.HHH(world, count=12, max_new_tokens=8)(model, tokenizer)
    assert [len(scores[name].values) for name in ("bad", "exact_match_known")] == [12, 4]
    assert scores["exact_match_known"].mean == 0.0
