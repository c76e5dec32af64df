"""Answers that end by themselves, and the probability of the end token, against a model of known probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from types import SimpleNamespace

import pytest
import torch
from oracle import Uniform
from transformers import GenerationConfig

from llmcycle.data.chat import Prompt
from llmcycle.engine import Answer, TransformersEngine
from llmcycle.evaluate.endings import Endings

ROWS = [{"prompt": f"What is {n}?", "completion": "four" if n == 4 else "another"} for n in range(1, 5)]


class Known(Uniform):
    """Says "four", ends answers to odd questions only, and gives every scored token a probability of a quarter."""

    def __init__(self) -> None:
        super().__init__(lambda prompt: "four", log(0.25))

    def answer(
        self, prompts: Sequence[Prompt], generation: GenerationConfig | None = None, logprobs: bool = False
    ) -> list[list[Answer]]:
        assert generation is not None
        assert generation.do_sample
        self.room = generation.max_new_tokens
        return [[Answer("four", "stop" if int(str(prompt)[8]) % 2 else "length")] for prompt in prompts]


def test_what_is_counted() -> None:
    engine = Known()
    scores = Endings(SimpleNamespace(validation=ROWS))(engine)
    assert scores["ends_by_itself"].values == [1.0, 0.0, 1.0, 0.0]
    assert scores["exact_match_sampled"].values == [0.0, 0.0, 0.0, 1.0]
    assert scores["end_probability"].values == pytest.approx([0.25] * 4)
    assert engine.scored == [[engine.tokenizer.eos_token_id]] * 4
    assert engine.room == 2 * len("another" + ".")  # a token a byte, and one that ends it


def test_rows_are_limited_and_long_ones_have_no_end_probability() -> None:
    rows = [*ROWS, {"prompt": "What is 5?" * 30, "completion": "five"}]
    scores = Endings(SimpleNamespace(validation=rows[2:]), limit=3, max_length=64)(Known())
    assert [len(each.values) for each in scores.values()] == [3, 3, 2]
    assert "end_probability" not in Endings(SimpleNamespace(validation=rows[4:]), max_length=64)(Known())


def test_a_seed_gives_the_same_draws_and_leaves_the_others_alone(engine: TransformersEngine) -> None:
    rows = SimpleNamespace(validation=ROWS)
    torch.manual_seed(5)
    undisturbed = torch.rand(1)
    torch.manual_seed(5)
    first = Endings(rows, seed=1)(engine)
    assert torch.equal(torch.rand(1), undisturbed)
    again, other = Endings(rows, seed=1)(engine), Endings(rows, seed=2)(engine)
    assert first == again
    assert first["end_probability"] == other["end_probability"]
