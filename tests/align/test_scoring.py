"""Several rewards added up with weights, and what can be no reward refused."""

from __future__ import annotations

import pytest
from judges import PLAIN, Writing

from llmcycle.align.rewards import Match
from llmcycle.align.scoring import WeightedRewards
from llmcycle.judge import Judge


def length(prompts: list[str], completions: list[str], **columns: list[object]) -> list[float | None]:
    return [float(len(text)) or None for text in completions]


def test_several_rewards_are_weighted_and_told_apart() -> None:
    """None is no reward at all, as in TRL."""
    both = WeightedRewards({"match": Match(), "length": length}, {"length": -0.5})
    scored = both(prompts=["", "", ""], completions=["blue", "red", ""], answer=["blue"] * 3)
    assert scored == {"match": [1.0, 0.0, 0.0], "length": [-2.0, -1.5, 0.0]}


def test_what_a_judge_fails_on_earns_what_the_other_answers_to_its_prompt_earn() -> None:
    judge = Judge(Writing(lambda question: {"a": "yes", "b": "no"}.get(question.split("|")[1], "hm")), PLAIN)
    prompts, answers = ["p"] * 3 + ["q"] * 2 + ["r"], ["a", "b", "x", "a", "x", "x"]
    scored = WeightedRewards(judge, {})(prompts=prompts, completions=answers)
    assert scored == {"reward": [1.0, 0.0, 0.5, 1.0, 1.0, pytest.approx(2 / 3)]}
    assert WeightedRewards(judge)(prompts=["p", "q"], completions=["x", "x"]) == {"reward": [0.0, 0.0]}


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
