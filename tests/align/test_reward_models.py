"""Reward models in training: they recover what made their labels, from simulated people who are known."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch
from learners import learner, train
from torch import Tensor
from transformers import (
    BertConfig,
    BertForTokenClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    PreTrainedTokenizerFast,
)

from llmcycle.align import ProcessRewardModel, RatingModel, RewardModel
from llmcycle.align.losses import BradleyTerry, MeanSquare, StepCrossEntropy
from llmcycle.data.chat import encode_prompt_completion
from llmcycle.data.rated import PreferenceMargin, Rated
from llmcycle.data.steps import Steps
from llmcycle.train import Learner, Objective


def scores_of(module: Learner, tokenizer: PreTrainedTokenizerFast, answers: list[str]) -> Tensor:
    """What a reward model gives each answer to one prompt."""
    ids = [encode_prompt_completion(tokenizer, "Lamp? ", answer)["input_ids"] for answer in answers]
    with torch.no_grad():
        return torch.stack([module.model(input_ids=torch.tensor([each])).logits.squeeze() for each in ids])


def scoring(tokenizer: PreTrainedTokenizerFast, objective: Objective) -> Learner:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), num_labels=1, pad_token_id=tokenizer.pad_token_id, **sizes)
    return learner(LlamaForSequenceClassification(config), objective)


ANSWERS, WORTH = ["red", "oak", "tall", "blue"], torch.tensor([1.0, 0.0, -1.0, 0.4])


def test_a_reward_model_recovers_the_rewards_behind_simulated_preferences(tokenizer: PreTrainedTokenizerFast) -> None:
    """1,200 Bradley-Terry labels: differences come back within four standard errors, about 0.12 each, and the fit."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for first, second in list(combinations(range(4), 2)) * 200:
        wins = torch.rand((), generator=generator) < torch.sigmoid(WORTH[first] - WORTH[second])
        chosen, rejected = (first, second) if wins else (second, first)
        rows.append({"prompt": "Lamp? ", "chosen": ANSWERS[chosen], "rejected": ANSWERS[rejected]})
    module, encoder = scoring(tokenizer, RewardModel(BradleyTerry())), PreferenceMargin(max_length=32)
    train(module, encoder.collate(encoder.encode(rows, tokenizer), tokenizer.pad_token_id), steps=18, lr=2e-2)
    scores = scores_of(module, tokenizer, ANSWERS)
    assert torch.allclose(scores - scores.mean(), WORTH - WORTH.mean(), atol=0.3)


def test_a_rating_model_recovers_the_ratings(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [{"prompt": "Lamp? ", "completion": a, "rating": w} for a, w in zip(ANSWERS, WORTH.tolist(), strict=True)]
    module, encoder = scoring(tokenizer, RatingModel(MeanSquare())), Rated(max_length=32)
    values = train(module, encoder.collate(encoder.encode(rows, tokenizer), tokenizer.pad_token_id), steps=80, lr=5e-3)
    assert values["absolute_error"] < 0.05
    assert torch.allclose(scores_of(module, tokenizer, ANSWERS), WORTH, atol=0.1)


@pytest.mark.parametrize("of", [LlamaForTokenClassification, BertForTokenClassification])
def test_a_process_reward_model_learns_which_steps_are_right(tokenizer: PreTrainedTokenizerFast, of: Any) -> None:
    """Right steps say red, wrong ones oak, in any order; read by a causal model and by one that looks both ways."""
    orders = [(first, second) for first in ("red", "oak") for second in ("red", "oak")]
    rows = [{"prompt": "Lamp? ", "steps": list(order), "labels": [word == "red" for word in order]} for order in orders]
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    kind = BertConfig if of is BertForTokenClassification else LlamaConfig
    model = of(kind(vocab_size=len(tokenizer), num_labels=1, pad_token_id=tokenizer.pad_token_id, **sizes))
    module, encoder = learner(model, ProcessRewardModel(StepCrossEntropy())), Steps(max_length=64)
    batch = encoder.collate(encoder.encode(rows, tokenizer), tokenizer.pad_token_id)
    first, _ = module.loss(batch)
    assert first.item() == pytest.approx(0.693, abs=0.15)
    assert train(module, batch, steps=60, lr=5e-3)["accuracy"] == 1
