"""Preference accuracy of reward models and of policies, against scores computed one by one."""

from __future__ import annotations

import copy
import math
import random
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

from llmcycle.data.chat import encode_prompt_completion
from llmcycle.engine import TransformersEngine, total
from llmcycle.evaluate.calibration import calibration_errors
from llmcycle.evaluate.preference import PreferenceAccuracy, by_margin
from llmcycle.evaluate.scores import Scores, change

ANSWERS = ["red", "a longer answer, with more words", "no", "Buy now!", "The shop does not know.", "x"]
ROWS = [
    {"prompt": f"Question {index}?", "chosen": chosen, "rejected": rejected}
    for index, (chosen, rejected) in enumerate(zip(ANSWERS, ANSWERS[::-1], strict=True))
]


def reward_model(tokenizer: PreTrainedTokenizerFast, pad_token_id: int | None) -> LlamaForSequenceClassification:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_labels=1,
        initializer_range=0.3,
        pad_token_id=pad_token_id,
    )
    return LlamaForSequenceClassification(config).eval()


@pytest.mark.parametrize("padded", [True, False])
def test_reward_model(tokenizer: PreTrainedTokenizerFast, padded: bool) -> None:
    scorer = reward_model(tokenizer, tokenizer.pad_token_id if padded else None)

    def alone(prompt: str, answer: str) -> float:
        ids = encode_prompt_completion(tokenizer, prompt, answer, 99)["input_ids"]
        with torch.no_grad():
            return float(scorer(input_ids=torch.tensor([ids])).logits)

    expected = [float(alone(r["prompt"], r["chosen"]) > alone(r["prompt"], r["rejected"])) for r in ROWS]
    assert (
        PreferenceAccuracy(SimpleNamespace(validation=ROWS))(TransformersEngine(scorer, tokenizer))[
            "preference_accuracy"
        ].values
        == expected
    )
    assert 0 < sum(expected) < len(ROWS)


def test_policy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine) -> None:
    def alone(prompt: str, answer: str) -> float:
        encoded = encode_prompt_completion(tokenizer, prompt, answer, 99)
        return total(engine.score([(encoded["input_ids"], encoded["labels"])])[0])

    expected = [float(alone(r["prompt"], r["chosen"]) > alone(r["prompt"], r["rejected"])) for r in ROWS]
    assert (
        PreferenceAccuracy(SimpleNamespace(validation=ROWS))(TransformersEngine(model, tokenizer, 3))[
            "preference_accuracy"
        ].values
        == expected
    )
    assert (
        PreferenceAccuracy(SimpleNamespace(validation=ROWS), limit=2)(engine)["preference_accuracy"].values
        == expected[:2]
    )
    assert 0 < sum(expected) < len(ROWS)


def test_dpos_implicit_reward_margin_is_beta_times_the_change(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine
) -> None:
    rows = SimpleNamespace(validation=ROWS)
    evaluator, beta = PreferenceAccuracy(rows), 0.1
    policy = copy.deepcopy(model)
    torch.nn.init.normal_(policy.lm_head.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    trained = TransformersEngine(policy, tokenizer)

    def reward(prompt: str, answer: str) -> float:
        encoded = encode_prompt_completion(tokenizer, prompt, answer, 99)
        sequence = [(encoded["input_ids"], encoded["labels"])]
        return beta * (total(trained.score(sequence)[0]) - total(engine.score(sequence)[0]))

    margins = [reward(row["prompt"], row["chosen"]) - reward(row["prompt"], row["rejected"]) for row in ROWS]
    found = change(evaluator(engine)["preference_margin"], evaluator(trained)["preference_margin"])
    assert found.before is not None
    assert beta * (found.value - found.before) == pytest.approx(sum(margins) / len(margins), rel=1e-4)
    assert found.interval is not None


def test_tie_is_no_agreement(engine: TransformersEngine) -> None:
    rows = SimpleNamespace(validation=[{"prompt": "a", "chosen": "b", "rejected": "b"}])
    assert PreferenceAccuracy(rows)(engine)["preference_accuracy"].values == [0.0]


def test_missing_column_and_outputs_refused(tokenizer: PreTrainedTokenizerFast, engine: TransformersEngine) -> None:
    with pytest.raises(ValueError, match=r"data\.columns\.rejected=NAME"):
        PreferenceAccuracy(SimpleNamespace(validation=[{"prompt": "a", "chosen": "b"}]))(engine)
    scorer = reward_model(tokenizer, 0)
    scorer.config.num_labels = 2
    with pytest.raises(ValueError, match="num_labels=1"):
        PreferenceAccuracy(SimpleNamespace(validation=ROWS))(TransformersEngine(scorer, tokenizer))


def test_accuracy_over_thirds_of_the_margins() -> None:
    parts = by_margin([0.1, -3.0, 2.0, -0.2, 1.0, 0.9], None)
    assert parts == {"close": [1, 0, 0, 1, 0, 0], "middle": [0, 0, 0, 0, 1, 1], "clear": [0, 1, 1, 0, 0, 0]}


def test_accuracy_over_bins_of_the_margins() -> None:
    parts = by_margin([0.1, -3.0, 2.0, -0.2, 1.0, 0.9], [0, 1, 2, 4])
    assert parts == {"0_1": [1, 0, 0, 1, 0, 1], "2_4": [0, 1, 1, 0, 0, 0]}  # one pair alone has no interval


@pytest.mark.parametrize("bins", [[1], [0, 0], [1, 0]])
def test_edges_that_enclose_nothing_are_refused(bins: list[float]) -> None:
    with pytest.raises(ValueError, match=r"bins: .* are no two edges"):
        PreferenceAccuracy.preflight(bins=bins)


def test_every_part_has_an_interval_and_keeps_its_rows(tokenizer: PreTrainedTokenizerFast) -> None:
    scorer, rows = reward_model(tokenizer, tokenizer.pad_token_id), SimpleNamespace(validation=ROWS)
    before = PreferenceAccuracy(rows)(TransformersEngine(scorer, tokenizer))
    torch.nn.init.normal_(scorer.score.weight, generator=torch.Generator().manual_seed(5))
    after = PreferenceAccuracy(rows)(TransformersEngine(scorer, tokenizer))
    assert list(after) == [
        "preference_accuracy",
        "preference_margin",
        "accuracy_close",
        "accuracy_middle",
        "accuracy_clear",
        "calibration_error",
    ]
    for name, scores in after.items():
        assert scores.rows == before[name].rows
        assert change(before[name], scores).interval is not None
    parts = [after[f"accuracy_{name}"] for name in ("close", "middle", "clear")]
    assert sum(part.mean for part in parts) / 3 == pytest.approx(after["preference_accuracy"].mean)


def test_a_policys_likelihood_is_no_probability_of_being_right(engine: TransformersEngine) -> None:
    assert "calibration_error" not in PreferenceAccuracy(SimpleNamespace(validation=ROWS))(engine)


def test_calibration_error_by_hand() -> None:
    """Two bins: one says 0.9 and is right half the time, the other 0.55 and always."""
    errors = calibration_errors([0.92, 0.92, 0.55, 0.55], [1, 0, 1, 1])
    assert sum(errors) / 4 == pytest.approx((abs(0.5 - 0.92) + abs(1 - 0.55)) / 2)


def test_calibration_of_planted_probabilities() -> None:
    """Right as often as said: an error of nothing but noise. Said 0.9 and right 0.7 of the time: an error of 0.2."""
    rng = random.Random(0)
    confidences = [rng.uniform(0.5, 1.0) for _ in range(20_000)]
    honest = change(None, calibrated(confidences, [float(rng.random() < c) for c in confidences]))
    assert honest.value < 0.015
    boasting = change(None, calibrated([0.9] * 5_000, [float(rng.random() < 0.7) for _ in range(5_000)]))
    assert boasting.interval is not None
    assert boasting.interval[0] < 0.2 < boasting.interval[1]
    assert boasting.interval[1] - boasting.interval[0] == pytest.approx(2 * 1.96 * math.sqrt(0.21 / 5_000), rel=0.05)


def calibrated(confidences: list[float], right: list[float]) -> Scores:
    return Scores(calibration_errors(confidences, right), "lower")
