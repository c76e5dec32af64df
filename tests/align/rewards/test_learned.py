"""Rewards that are models or know a world: reward models, and the storefront's verifier."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.align import scorer
from llmcycle.align.rewards import Learned, Verifier
from llmcycle.data.chat import encode_prompt_completion
from llmcycle.data.storefront import World


def test_the_verifier_prefers_good_answers() -> None:
    world = World(seed=0)
    question = world.questions("known", held_out=True)[0]
    right = world.truth.known[question.product][question.attribute]
    wrong = next(value for value in world.truth.attribute_values[question.attribute] if value != right)
    prompts = [question.text] * 3
    rewards = Verifier(world)(prompts=prompts, completions=[right, wrong, f"{wrong} Hurry, only two are left!"])
    assert rewards == pytest.approx([1, 2 / 3, 1 / 3])


@pytest.fixture
def reward_model(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "policy")
    tokenizer.save_pretrained(tmp_path / "policy")
    scorer(str(tmp_path / "policy")).save_pretrained(tmp_path / "reward")
    tokenizer.save_pretrained(tmp_path / "reward")
    return tmp_path / "reward"


def test_learned_scores_each_answer_as_alone(reward_model: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    source = Learned(str(reward_model), max_length=64, batch_size=2)
    prompts, completions = ["a ", "What is this? ", "The lamp "], ["red", "", "is blue and tall"]
    rewards = source(prompts=prompts, completions=completions, kind=["x"] * 3)
    for prompt, completion, reward in zip(prompts, completions, rewards, strict=True):
        ids = encode_prompt_completion(tokenizer, prompt, completion, 64)["input_ids"]
        assert source.engine.model(torch.tensor([ids])).logits.item() == pytest.approx(reward, abs=1e-5)


def test_learned_refuses_what_is_no_reward_model(reward_model: Path) -> None:
    with pytest.raises(ValueError, match=r"inputs\.reward: .*policy is no reward model"):
        Learned(str(reward_model.parent / "policy"))
