"""The swaps that the recipes of alignment advertise pass every check, and an unread input does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import seeming_model
from toy import command

SWAPS = [
    "reward peft=lora",
    "align loss=ipo",
    "align loss.nll=0",
    "align peft=lora",
    "rlvr loss=dapo",
    "rlvr reward=gsm8k",
    "rlvr reward=match",
    "rlvr reward=think_format advantage=group_mean",
    "rlvr reward=think_format reward.function.path=trl.rewards.accuracy_reward",
    "rlvr ~reward +reward@reward.a=storefront +reward@reward.b=repetition +objective.weights.b=0.5",
    "reinforce inputs.reward=model",
    "reinforce inputs.reward=model loss=dapo",
]


@pytest.mark.parametrize("swap", SWAPS)
def test_swaps_compose(swap: str, here: Path) -> None:
    seeming_model(here / "model")
    assert command("check", *swap.split(), "inputs.model=model") == 0


def test_a_weight_of_no_reward_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeming_model(here / "model")
    swap = ("~reward", "+reward@reward.a=storefront", "+objective.weights.b=0.5", "inputs.model=model")
    assert command("check", "rlvr", *swap) != 0
    assert "objective.weights.b: there is no reward of this name; choose one of a" in capsys.readouterr().err


def test_the_verifier_reads_no_reward_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seeming_model(here / "model")
    swap = ("reinforce", "reward=storefront", "inputs.reward=model", "inputs.model=model")
    assert command("check", *swap) != 0
    assert "inputs.reward: nothing in this recipe reads this input" in capsys.readouterr().err
