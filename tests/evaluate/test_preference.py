"""Preference accuracy of reward models and of policies, against scores computed one by one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

from llmcycle.data.chat import encode_prompt_completion
from llmcycle.engine import TransformersEngine, total
from llmcycle.evaluate.preference import PreferenceAccuracy

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
