"""The arms of a sweep that can't run are told together, with what to type for the others."""

from __future__ import annotations

import shlex

import pytest

from llmcycle.config import ConfigError, check, check_arms, locate
from llmcycle.config.sweeps import ArmErrors

FINETUNE = ("finetune", "inputs.model=o/n")


def refusal(recipe: str, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        check_arms(locate(recipe), overrides, check)
    return caught.value


def test_arms_that_are_right_are_counted() -> None:
    assert len(check_arms(locate("finetune"), ["inputs.model=o/n", "peft=lora,dora", "seed=0,1,2"], check)) == 6


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ((*FINETUNE, "optim.lr=1e-3,-1,2e-3"), ["optim.lr=0.001,0.002"]),
        ((*FINETUNE, "optim.lr=1e-3,-1", "seed=0,1"), ["optim.lr=0.001"]),
        ((*FINETUNE, "optim.lr=1e-3,-1", "peft.r=4,0"), ["optim.lr=0.001", "peft.r=4"]),
        (("lifecycle", "handoff@finetune.handoff=glob(*)"), ["handoff@finetune.handoff=glob(*,exclude=[adapter])"]),
    ],
)
def test_values_that_no_arm_can_have_are_left_out(words: tuple[str, ...], remedy: list[str]) -> None:
    error = refusal(*words)
    assert isinstance(error, ArmErrors)
    assert f"{len(error.refused)} of {error.count} arms" in str(error)
    assert shlex.split(error.remedy) == remedy
    typed = {word.partition("=")[0]: word for word in remedy}
    mended = [typed.get(word.partition("=")[0], word) for word in words[1:]]
    assert len(check_arms(locate(words[0]), mended, check)) == error.count - len(error.refused)


def test_a_key_that_all_arms_mistype_is_mended_for_all() -> None:
    error = refusal(*FINETUNE, "optim.lrr=1e-3,2e-3")
    assert not isinstance(error, ArmErrors)
    assert error.remedy == "optim.lr=1e-3,2e-3"
