"""What is taken out by a `~` that Hydra can't take: the remedy does what was meant, and composes."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmcycle.config import check, compose, locate
from llmcycle.config.errors import ConfigError

MODEL = "inputs.model=owner/name"


@pytest.mark.parametrize(
    ("recipe", "typed", "remedy"),
    [
        ("finetune", "~evaluate", "evaluate=[]"),
        ("finetune", "~evaluate=nothing", "evaluate=[]"),
        ("finetune", "~evaluate=exact_match", "~evaluate.exact_match"),
        ("finetune", "~evaluate=[exact_match,endings]", "~evaluate.exact_match ~evaluate.endings"),
        ("finetune", "~evaluat", "evaluate=[]"),
        ("finetune", "~pefts", "~peft"),
        ("finetune", "~trainer.max_steps=7", "~trainer.max_steps"),
        ("prompt", "~prompt", "prompt=[]"),
        ("lifecycle", "~evaluate@finetune.evaluate", "evaluate@finetune.evaluate=[]"),
    ],
)
def test_the_remedy_is_not_what_was_typed_and_composes(here: Path, recipe: str, typed: str, remedy: str) -> None:
    given = [] if recipe == "lifecycle" else [MODEL]
    with pytest.raises(ConfigError) as caught:
        compose(locate(recipe), [*given, typed])
    said = caught.value.remedy.partition(",")[0] if "," not in remedy else caught.value.remedy
    assert caught.value.key == typed.partition("=")[0]
    assert (said, said != typed) == (remedy, True)
    compose(locate(recipe), [*given, *remedy.split()])


def test_a_group_that_several_stages_have_is_asked_for_by_its_stage(here: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(locate("lifecycle"), ["~evaluate"])
    assert "evaluate@align.evaluate=[], " in caught.value.remedy
    assert "~evaluate@reward.evaluate" in caught.value.remedy


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [("~finetune.evaluate", "evaluate@finetune.evaluate=[]"), ("~finetune.peft", "~peft@finetune.peft")],
)
def test_a_part_that_is_taken_out_by_its_key_is_taken_out_by_its_group(here: Path, typed: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(compose(locate("lifecycle"), [typed]))
    assert (caught.value.key, caught.value.remedy) == (typed, remedy)
    check(compose(locate("lifecycle"), [remedy]))


def test_a_list_without_options_is_filled_by_its_group(here: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check(compose(locate("prompt"), [MODEL, "prompt=[]"]))
    assert "prompt=bare" in caught.value.remedy
