"""Audits of planted rewards: one that pays for length is found out, and one that knows the truth is not."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import byte_tokenizer
from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

from llmcycle.align.rewards import FunctionReward, Length, Number
from llmcycle.data.chat import encode_prompt_completion
from llmcycle.engine import TransformersEngine
from llmcycle.evaluate.evaluator import compare
from llmcycle.evaluate.reward_audit import BAD, RewardAudit, RewardModelAudit, bad_answers, read

WORDS = ("blue", "oak", "tall", "small", "round", "cheap", "light", "new")


def pairs(count: int = 60) -> list[dict[str, Any]]:
    """Pairs whose chosen answer is the longer one half the time."""
    rng = Random(0)
    made = []
    for index in range(count):
        sides = [" ".join(rng.sample(WORDS, size)) for size in rng.sample([2, 3, 4, 5], 2)]
        made.append({"prompt": f"What is lamp {index} like?", "chosen": sides[0], "rejected": sides[1]})
    return made


PAIRS = pairs()
TRUTH = {row["chosen"] for row in PAIRS}


def audited(reward: Any, rows: Sequence[dict[str, Any]] = PAIRS) -> dict[str, Any]:
    """The metrics of a reward."""
    engine: Any = SimpleNamespace(tokenizer=byte_tokenizer(), offers=frozenset())
    return compare(None, RewardAudit(SimpleNamespace(validation=list(rows)), reward)(engine))


def by_length(completions: list[str]) -> list[float]:
    return [float(len(text)) for text in completions]


def by_truth(completions: list[str]) -> list[float]:
    return [float(text in TRUTH) for text in completions]


def test_a_reward_that_pays_for_length_is_found_out() -> None:
    metrics = audited(FunctionReward(by_length))
    low, high = metrics["length_spearman"].interval
    assert metrics["length_spearman"].value == pytest.approx(1.0)
    assert low > 0.95
    assert high < 1.05
    assert metrics["longer_above"].value == 1.0
    assert metrics["longer_chosen"].interval[1] < 1.0
    assert metrics["above_empty"].value == 1.0
    assert metrics["above_repeated"].value == 0.0  # four times as long
    assert metrics["above_shuffled"].value == 0.0  # a tie is none


def test_a_reward_that_knows_the_truth_is_not() -> None:
    metrics = audited(FunctionReward(by_truth))
    low, high = metrics["length_spearman"].interval
    assert low < 0.2
    assert high > -0.2
    assert metrics["longer_above"].value <= metrics["longer_chosen"].value  # a tie is none: rejected may be true too
    for kind in BAD:
        assert metrics[f"above_{kind}"].value > 0.9
        assert metrics[f"above_{kind}"].interval[0] > 0.8
    assert "reward_calibration_error" not in metrics  # 0 and 1 are no log-odds


def test_a_verifier_sees_the_columns_and_an_answer_that_it_does_not_apply_to_is_left_out() -> None:
    rows = [{"prompt": f"{i} + 1?", "answer": str(i + 1) if i % 2 else "many"} for i in range(8)]
    metrics = audited(Number(), rows)
    assert metrics["above_empty"].value == 1.0
    assert metrics["above_empty"].n == 4
    assert "above_shuffled" not in metrics  # one word has one order
    assert "longer_above" not in metrics  # no pairs


def test_a_reward_on_tokens_is_given_them() -> None:
    metrics = audited(Length(target=1, penalty=1.0))
    assert metrics["length_spearman"].value == pytest.approx(-1.0)


def test_bad_answers_by_hand() -> None:
    question = read({"prompt": [{"role": "user", "content": "Lamp?"}], "completion": "It is blue."})
    answers = bad_answers(question, "Nein.")
    assert {kind: answers[kind] for kind in ("empty", "repeated", "copied", "foreign")} == {
        "empty": "",
        "repeated": "It is blue. It is blue. It is blue. It is blue.",
        "copied": "Lamp?",
        "foreign": "Nein.",
    }
    assert sorted(answers["shuffled"].split()) == ["It", "blue.", "is"]
    assert "empty" not in bad_answers(read({"prompt": "a", "completion": ""}), "Nein.")


def test_the_model_that_is_asked_is_audited_as_its_reward_would_be(tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), num_labels=1, pad_token_id=0, initializer_range=0.3, **sizes)
    engine = TransformersEngine(LlamaForSequenceClassification(config).eval(), tokenizer)

    def reward(prompts: list[str], completions: list[str]) -> list[float]:
        sequences = [encode_prompt_completion(tokenizer, *pair) for pair in zip(prompts, completions, strict=True)]
        return engine.reward([each["input_ids"] for each in sequences])

    rows = SimpleNamespace(validation=PAIRS[:20])
    asked, given = RewardModelAudit(rows)(engine), RewardAudit(rows, FunctionReward(reward))(engine)
    assert asked.keys() - given.keys() == {"reward_calibration_error"}
    for name, scores in given.items():
        assert scores.values == pytest.approx(asked[name].values, abs=1e-6)
    assert 0 <= asked["reward_calibration_error"].mean <= 1


def test_rows_without_an_answer_are_refused() -> None:
    with pytest.raises(ValueError, match=r"an audit needs rows .*data\.columns\.chosen=NAME"):
        audited(FunctionReward(by_length), [{"prompt": "a", "kind": "b"}])
