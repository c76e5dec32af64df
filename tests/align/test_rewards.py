"""Reward sources: the verifier, a reward model, answers in the data, and TRL's own functions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl.rewards import get_soft_overlong_punishment

from llmcycle.align import scorer
from llmcycle.align.rewards import Learned, Match, Verifier
from llmcycle.data.chat import encode_prompt_completion
from llmcycle.data.storefront import World
from llmcycle.evaluate.text_match import TextMatch

GSM8K = TextMatch(extract=r"####\s*(-?[\d.,]*\d)", ignore=[","])


def test_the_verifier_prefers_good_answers() -> None:
    world = World(seed=0)
    question = world.questions("known", held_out=True)[0]
    right = world.known[question.product][question.attribute]
    wrong = next(value for value in world.attribute_values[question.attribute] if value != right)
    prompts = [question.text] * 3
    rewards = Verifier(world)(prompts=prompts, completions=[right, wrong, f"{wrong} Hurry, only two are left!"])
    assert rewards == pytest.approx([1, 2 / 3, 1 / 3])


def test_match_finds_the_last_number_after_the_mark() -> None:
    answers = ["3 + 4 = 7\n#### 7", "#### 1,200", "5 * 2\n#### 10", "#### -2"]
    completions = ["First #### 3, no: #### 7.", "it is #### 1200", "the answer is 10", "####-2"]
    rewards = Match(GSM8K)(prompts=[""] * 4, completions=completions, answer=answers)
    assert rewards == [1, 1, 0, 1]


def test_match_of_the_whole_answer() -> None:
    rewards = Match()(prompts=["", "", ""], completions=["blue", "blue lamp", ""], answer=["blue"] * 3)
    assert rewards == [1, 0, 0]


def test_match_names_the_columns_there_are() -> None:
    with pytest.raises(ValueError, match=r"no column answer, only question, kind.*data\.columns\.answer"):
        Match(GSM8K)(prompts=[""], completions=[""], question=[""], kind=[""])


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


def test_a_function_of_trl_has_the_same_signature() -> None:
    punish = get_soft_overlong_punishment(max_completion_len=4, soft_punish_cache=2)
    assert punish(prompts=["", ""], completions=["", ""], completion_ids=[[1], [1] * 5]) == [0.0, -1]
