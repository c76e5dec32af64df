"""What answers earn: by hand, by one reward and by several, and by one that does not apply to all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from judges import PLAIN, Writing
from tiny_run import Rows
from transformers import GenerationConfig

from llmcycle.align.rewards import Length, Number
from llmcycle.engine import TransformersEngine, texts
from llmcycle.evaluate.mean_reward import MeanReward
from llmcycle.evaluate.reward import Reward
from llmcycle.judge import Judge

ROWS = Rows([], [{"prompt": f"What is {i}?", "answer": str(i)} for i in range(6)])
FEW = GenerationConfig(max_new_tokens=5)


def vowels(prompts: Sequence[Any], completions: Sequence[str], **_: Any) -> list[float]:
    return [float(sum(letter in "aeiou" for letter in text)) for text in completions]


def test_it_is_the_mean_over_the_models_own_answers(engine: TransformersEngine) -> None:
    found = MeanReward(ROWS, vowels, FEW)(engine)
    answers = texts(engine, [row["prompt"] for row in ROWS.validation], FEW)
    assert found["reward"].values == vowels([], answers)
    assert {shown["got"] for shown in found["reward"].shown or ()} == set(answers)


def test_several_rewards_stand_beside_each_other_and_see_columns_and_tokens(engine: TransformersEngine) -> None:
    rewards: dict[str, Reward] = {"right": Number(), "length": Length(5, 1.0)}
    found = MeanReward(ROWS, rewards, FEW)(engine)
    assert found.keys() == MeanReward.scores(dict.fromkeys(rewards)).keys() == {"reward_right", "reward_length"}
    assert found["reward_length"].values == [0.0] * 6, "no answer of this model ends before its limit"


def test_a_reward_that_does_not_apply_pays_nothing(engine: TransformersEngine) -> None:
    rows = Rows([], [{"prompt": "a?", "answer": "no number"}, {"prompt": "b?", "answer": "none either"}])
    assert MeanReward(rows, Number(), FEW)(engine)["reward"].values == [0.0, 0.0]


def test_answers_that_a_judge_fails_on_are_left_out_and_counted(engine: TransformersEngine) -> None:
    judge = Judge(Writing(lambda question: {"0": "yes", "1": "no"}.get(question[8], "hm")), PLAIN)
    found = MeanReward(ROWS, judge, FEW)(engine)
    assert found["reward"].mean == 0.5
    assert len(found["reward"].values) == len(ROWS.validation)
    assert found["reward_failed"].values == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="no verdict on any of 6"):
        MeanReward(ROWS, Judge(Writing(lambda _: "hm"), PLAIN), FEW)(engine)


def test_rows_need_no_right_answer(engine: TransformersEngine) -> None:
    found = MeanReward(Rows([], [{"prompt": "a?"}, {"prompt": "b?"}]), vowels, FEW)(engine)
    assert [shown["expected"] for shown in found["reward"].shown or ()] == ["", ""]


@pytest.mark.parametrize(("reward", "names"), [(None, ["reward"]), ({"a": None, "b": None}, ["reward_a", "reward_b"])])
def test_its_scores_are_known_before_anything_is_built(reward: dict[str, None] | None, names: list[str]) -> None:
    assert list(MeanReward.scores(reward)) == names
