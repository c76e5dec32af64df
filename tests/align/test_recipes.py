"""The swaps that the recipes of alignment advertise pass every check, and an unread input does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import seeming_model
from toy import command

SWAPS = [
    "reward peft=lora",
    "reward encode=preference",
    "rating",
    "reward evaluate=[preference_accuracy,reward_model_audit]",
    "reward_audit",
    "best_of_n inputs.reward=owner/name",
    "reward_audit reward=learned ++inputs.reward=owner/name",
    "reward_audit reward=number data=storefront_questions",
    "rlvr evaluate=reward_audit",
    "rlvr evaluate=mean_reward callbacks=judged",
    "rlvr ~reward +reward@reward.right=match +reward@reward.short=length evaluate=mean_reward",
    "evaluate inputs.model=owner/name evaluate=mean_reward +reward=match data=storefront_questions",
    "process_reward encode.truncation=drop",
    "align loss=ipo",
    "align loss.nll=0",
    "align loss=dpo loss.divergence=js",
    "align loss=simpo peft=pissa",
    "align objective.reference=stored objective.share_prompts=true",
    "kto",
    "kto loss=bco objective.reference=stored",
    "kto loss=bco peft=lora",
    "kto data@data.sources.pairs=hh_rlhf",
    "align peft=lora",
    "rlvr loss=dapo",
    "rlvr reward=gsm8k",
    "rlvr reward=match",
    "rlvr reward=think_format advantage=group_mean",
    "rlvr reward=think_format reward.function.path=trl.rewards.accuracy_reward +reward.columns.solution=answer",
    "rlvr ~reward +reward@reward.a=storefront +reward@reward.b=repetition +objective.weights.b=0.5",
    *(f"rlvr reward={option}" for option in ("number", "length", "format", "math_verify", "cosine_length")),
    "rlvr reward=regex reward.pattern=blue",
    "rlvr ~reward +reward@reward.a=learned +reward@reward.b=format +objective.weights.b=0.1 ++inputs.reward=model",
    "rlvr ~reward +reward@reward.a=number +reward@reward.b=length +reward@reward.c=soft_overlong",
    "rlvr ~reward +reward@reward.a=math_verify +reward@reward.b=function "
    "reward.b.function.path=trl.rewards.think_format_reward",
    "rlvr reward=process ++inputs.reward=model",
    "rlvr reward=ensemble ++inputs.reward=model ++inputs.second_reward=owner/name",
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
