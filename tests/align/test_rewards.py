"""Reward sources: the verifier, a reward model, answers in the data, and TRL's own functions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl.rewards import get_soft_overlong_punishment, think_format_reward

from llmcycle.align import scorer
from llmcycle.align.rewards import Learned, Match, TrlReward, Verifier
from llmcycle.align.scoring import WeightedRewards
from llmcycle.data.chat import encode_prompt_completion
from llmcycle.data.storefront import World
from llmcycle.evaluate.text_match import TextMatch

GSM8K = TextMatch(extract=r"####\s*(-?[\d.,]*\d)", ignore=[","])


def test_the_verifier_prefers_good_answers() -> None:
    world = World(seed=0)
    question = world.questions("known", held_out=True)[0]
    right = world.truth.known[question.product][question.attribute]
    wrong = next(value for value in world.truth.attribute_values[question.attribute] if value != right)
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


def test_functions_of_trl_are_rewards() -> None:
    """One reads tokens, one the text of messages."""
    punish = TrlReward(get_soft_overlong_punishment(max_completion_len=4, soft_punish_cache=2))
    assert punish(prompts=["", ""], completions=["", ""], completion_ids=[[1], [1] * 5]) == [0.0, -1]
    completions = ["<think>\n2 + 2\n</think>\n4", "4"]
    assert TrlReward(think_format_reward)(prompts=["", ""], completions=completions, kind=["x"] * 2) == [1.0, 0.0]


def length(prompts: list[str], completions: list[str], **columns: list[object]) -> list[float | None]:
    return [float(len(text)) or None for text in completions]


def test_several_rewards_are_weighted_and_told_apart() -> None:
    """None is no reward at all, as in TRL."""
    both = WeightedRewards({"match": Match(), "length": length}, {"length": -0.5})
    scored = both(prompts=["", "", ""], completions=["blue", "red", ""], answer=["blue"] * 3)
    assert scored == {"match": [1.0, 0.0, 0.0], "length": [-2.0, -1.5, 0.0]}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1.0], r"reward\.bad: it gave 1 rewards for 2 answers"),
        ([0.0, float("nan")], r"reward\.bad: it gave nan for the answer 'b'"),
        ([float("inf"), 0.0], r"reward\.bad: it gave inf for the answer 'a'"),
    ],
)
def test_what_can_be_no_reward_is_refused_by_name(values: list[float], reason: str) -> None:
    rewards = WeightedRewards({"good": length, "bad": lambda **_: values})
    with pytest.raises(ValueError, match=reason):
        rewards(prompts=["", ""], completions=["a", "b"])


def test_a_weight_without_a_reward_is_refused() -> None:
    with pytest.raises(ValueError, match=r"objective\.weights\.c: there is no reward of this name; choose one of a"):
        WeightedRewards({"a": length}, {"c": 1.0})
    with pytest.raises(ValueError, match=r"objective\.weights\.a: .*one reward alone has no name; leave it out"):
        WeightedRewards(length, {"a": 1.0})
