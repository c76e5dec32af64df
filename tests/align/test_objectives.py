"""The three objectives in training: what they learn, and that the policy's optimum is the closed form."""

from __future__ import annotations

import pytest
import torch
from conftest import random_llama
from learners import learner
from tiny_run import Rows
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

from llmcycle.align import Policy, Preference, RewardModel
from llmcycle.align.advantages import GroupRelative
from llmcycle.align.losses import DPO, GRPO, BradleyTerry
from llmcycle.align.rollouts import Sampling, roll_out
from llmcycle.data.batches import Batches
from llmcycle.data.encode import Preference as PreferenceEncoder
from llmcycle.data.encode import Prompts
from llmcycle.engine import TransformersEngine
from llmcycle.train import Learner

PAIRS = [
    {"prompt": f"The {thing} is ", "chosen": good, "rejected": f"{good}, hurry!"}
    for thing, good in [("lamp", "red"), ("chair", "oak"), ("table", "tall"), ("vase", "blue")]
]


def train(module: Learner, batch: dict[str, Tensor], steps: int, lr: float) -> dict[str, float]:
    """The values that the module reported last."""
    optimizer = torch.optim.Adam(module.model.parameters(), lr=lr)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    for _ in range(steps):
        loss, values = module.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
    return {name: float(value) for name, value in values.items()}


def pairs(tokenizer: PreTrainedTokenizerFast) -> dict[str, Tensor]:
    encoder = PreferenceEncoder(max_length=64)
    return encoder.collate(encoder.encode(PAIRS, tokenizer), tokenizer.pad_token_id)


def test_preference_learns_the_pairs(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    module = learner(model, Preference(DPO(beta=0.5)))
    start, values = module.loss(pairs(tokenizer))
    assert start.item() == pytest.approx(0.6931, abs=1e-3)  # policy and reference are one: a coin's entropy
    assert values["margin"].item() == pytest.approx(0, abs=1e-4)
    values = train(module, pairs(tokenizer), steps=20, lr=3e-3)
    assert values["accuracy"] == 1
    assert values["margin"] > 2


def test_reward_model_learns_the_pairs(tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), num_labels=1, pad_token_id=tokenizer.pad_token_id, **sizes)
    module = learner(LlamaForSequenceClassification(config), RewardModel(BradleyTerry()))
    values = train(module, pairs(tokenizer), steps=30, lr=3e-3)
    assert values["accuracy"] == 1
    assert values["margin"] > 1


def is_word(prompts: list[str], completions: list[str], **columns: list[object]) -> list[float]:
    assert set(columns) == {"kind", "completion_ids"}
    return [float(text.isascii() and text.isalnum()) for text in completions]


def policy(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, sampling: Sampling, **options: object
) -> Learner:
    advantage = GroupRelative(deviation=options.pop("deviation", True))
    module = learner(model, Policy(GRPO(beta=0.5), is_word, sampling, advantage, **options))
    rows = [{"prompt": "It ", "kind": "x"}]
    batches = Batches(Rows(rows, rows), Prompts(max_length=64), tokenizer, 1, 1, seed=0, allow=["shared"])
    module.objective.begin(module.models, batches)
    return module


def prompts(tokenizer: PreTrainedTokenizerFast) -> dict[str, Tensor]:
    encoder = Prompts(max_length=64)
    return encoder.collate(encoder.encode([{"prompt": "It "}], tokenizer), tokenizer.pad_token_id)


@torch.no_grad()
def next_logprobs(model: LlamaForCausalLM, batch: dict[str, Tensor]) -> Tensor:
    return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[0, -1].log_softmax(-1)


def kl(p: Tensor, q: Tensor) -> float:
    return (p.exp() * (p - q)).sum().item()


def test_policy_reaches_the_closed_form(tokenizer: PreTrainedTokenizerFast) -> None:
    """Answers of one token can be enumerated: training by sampling must approach pi_ref exp(r / beta) / Z."""
    model, batch = random_llama(len(tokenizer), num_hidden_layers=1), prompts(tokenizer)
    texts = [tokenizer.decode([i], skip_special_tokens=True) for i in range(len(tokenizer))]
    rewards = torch.tensor(is_word([], texts, kind=[], completion_ids=[]))
    start = next_logprobs(model, batch)
    target = (start + rewards / 0.5).log_softmax(-1)
    module = policy(model, tokenizer, Sampling(group_size=256, max_new_tokens=1), deviation=False)
    train(module, batch, steps=40, lr=1e-2)
    end = next_logprobs(model, batch)
    assert kl(end, target) < 0.2 * kl(start, target)
    assert (end.exp() * rewards).sum().item() == pytest.approx((target.exp() * rewards).sum().item(), rel=0.15)


def test_policy_reuses_its_answers(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    module = policy(model, tokenizer, Sampling(group_size=4, max_new_tokens=3), updates=2)
    seen = []
    for _ in range(4):
        module.loss(prompts(tokenizer))
        seen.append(module.objective.experience)
    assert seen[0] is seen[1]
    assert seen[1] is not seen[2]
    assert seen[2] is seen[3]
    assert seen[0].rollouts.texts != seen[2].rollouts.texts


def test_policy_validates_on_fresh_answers(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    module = policy(model, tokenizer, Sampling(group_size=4, max_new_tokens=3)).eval()
    first, second = (module.objective.experience_for(module.models, prompts(tokenizer)) for _ in range(2))
    assert module.objective.experience is None
    assert first.rollouts.texts == second.rollouts.texts


def test_a_reward_sees_the_columns_of_all_sources_and_none_that_has_a_name_of_its_arguments(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    seen: dict[str, list[object]] = {}

    def watch(prompts: list[str], completions: list[str], **columns: list[object]) -> list[float]:
        seen.update(columns, prompts=prompts, completions=completions)
        return [0.0] * len(completions)

    objective = Policy(GRPO(), watch, Sampling(group_size=2, max_new_tokens=2), GroupRelative())
    own = dict.fromkeys(("self", "prompts", "completions", "completion_ids"), "x")
    rows = [{"prompt": "a", "source": "one", "level": 1, **own}, {"prompt": "b", "source": "two"}]
    encoder = Prompts(max_length=64)
    batch = encoder.collate(encoder.encode(rows, tokenizer), tokenizer.pad_token_id)
    rollouts = roll_out(TransformersEngine(model, tokenizer), batch, objective.sampling, seed=0)
    assert set(objective.scores(rollouts, rows)) == {"reward"}
    assert seen == {
        "prompts": ["a", "a", "b", "b"],
        "completions": rollouts.texts,
        "completion_ids": rollouts.completion_ids,
        "source": ["one", "one", "two", "two"],
        "level": [1, 1, None, None],
    }
