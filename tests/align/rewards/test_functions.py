"""Functions as rewards: a user's own, and all of TRL's."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest
import trl.rewards
from conftest import seeming_model
from toy import command
from trl.rewards import get_soft_overlong_punishment, think_format_reward

from llmcycle.align.rewards import FunctionReward, TrlReward
from llmcycle.align.scoring import WeightedRewards

# Every function of trl.rewards: settings of one that makes a reward, and an answer with what it is worth by hand.
OF_TRL = {
    "accuracy_reward": (None, r"It is \boxed{4}", 1.0),
    "reasoning_accuracy_reward": (None, r"<think>2 + 2</think> \boxed{4}", 1.0),
    "get_cosine_scaled_reward": ({"max_len": 8}, r"\boxed{4}", 0.75),  # half of the longest: in the middle
    "think_format_reward": (None, "<think>a</think>4", 1.0),
    "get_repetition_penalty_reward": ({"ngram_size": 1}, "x x x x", -0.75),
    "get_soft_overlong_punishment": ({"max_completion_len": 5, "soft_punish_cache": 2}, "x", -0.5),
}


def test_functions_of_trl_are_rewards() -> None:
    """One reads tokens, one the text of messages."""
    punish = TrlReward(get_soft_overlong_punishment(max_completion_len=4, soft_punish_cache=2))
    assert punish(prompts=["", ""], completions=["", ""], completion_ids=[[1], [1] * 5]) == [0.0, -1]
    completions = ["<think>\n2 + 2\n</think>\n4", "4"]
    assert TrlReward(think_format_reward)(prompts=["", ""], completions=completions, kind=["x"] * 2) == [1.0, 0.0]


def test_no_function_of_trl_is_left_out() -> None:
    assert set(trl.rewards.__all__) >= set(OF_TRL)
    offered = {name for name in dir(trl.rewards) if inspect.isfunction(getattr(trl.rewards, name))}
    assert offered == set(OF_TRL)


@pytest.mark.parametrize("name", OF_TRL)
def test_every_function_of_trl_is_a_reward(name: str) -> None:
    settings, answer, expected = OF_TRL[name]
    function = getattr(trl.rewards, name)
    reward = TrlReward(function if settings is None else function(**settings), {"solution": "answer"})
    arguments = {"completion_ids": [[1, 1, 1, 1]], "answer": ["$4$"], "kind": ["x"]}
    assert WeightedRewards(reward)(prompts=["2 + 2?"], completions=[answer], **arguments) == {"reward": [expected]}


@pytest.mark.parametrize("name", OF_TRL)
def test_every_function_of_trl_passes_the_check(name: str, here: Path) -> None:
    settings = OF_TRL[name][0]
    node = {"_target_": f"trl.rewards.{name}", **settings} if settings else {"path": f"trl.rewards.{name}"}
    words = [f"++reward.function.{key}={value}" for key, value in node.items()]
    left = ["~reward.function.path"] if settings else []
    seeming_model(here / "model")
    swap = ("reward=think_format", *left, *words, "+reward.columns.solution=completion")
    assert command("check", "rlvr", "data=storefront_instructions", *swap, "inputs.model=model") == 0


def test_a_function_is_called_with_what_it_names() -> None:
    def brief(completions: list[str], kind: list[str]) -> list[float]:
        return [float(len(text) < 3 and k == "x") for text, k in zip(completions, kind, strict=True)]

    arguments = {"kind": ["x", "y"], "other": [1, 2], "completion_ids": [[1], [1]]}
    assert FunctionReward(brief)(prompts=["", ""], completions=["a", "b"], **arguments) == [1.0, 0.0]
    assert FunctionReward.rows_need(brief) == (("kind",),)
    assert FunctionReward.rows_need(brief, {"kind": "sort"}) == (("sort",),)


def test_a_column_that_the_data_lacks_is_named() -> None:
    def right(completions: list[str], solution: list[str]) -> list[float]:
        return [float(a == b) for a, b in zip(completions, solution, strict=True)]

    with pytest.raises(ValueError, match=r"reward\.function: the data has no column solution, only answer; map one"):
        FunctionReward(right)(prompts=[""], completions=["a"], answer=["a"])
    with pytest.raises(ValueError, match=r"reward\.columns\.solution: the data has no column truth"):
        FunctionReward(right, columns={"solution": "truth"})(prompts=[""], completions=["a"], answer=["a"])


def test_a_function_of_the_users_own_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its path, once it is allowed; refused by its name before."""
    (here / "mypkg.py").write_text(
        "def score(prompts, completions):\n    return [float(len(c)) for c in completions]\n"
    )
    seeming_model(here / "model")
    words = ("rlvr", "reward=function", "reward.function.path=mypkg.score", "inputs.model=model")
    assert command("check", *words) != 0
    assert "llmcycle --allow mypkg.score" in capsys.readouterr().err
    assert command("--allow", "mypkg", "check", *words) == 0


def test_a_library_of_an_extra_that_is_not_there_is_told_by_the_line_to_type(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "math_verify", None)  # as where it is not installed
    seeming_model(here / "model")
    assert command("check", "rlvr", "reward=math_verify", "data=storefront_instructions", "inputs.model=model") != 0
    assert "pip install 'llmcycle[math]'" in capsys.readouterr().err
