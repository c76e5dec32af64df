"""Facts of a PEFT method stand in its YAML file; they rule out what can't be, and are taken off before it is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmcycle.building import build_part
from llmcycle.config import RecipeErrors, check, compose, locate
from llmcycle.config.facts import Facts, facts, taken_off
from llmcycle.config.identity import stage_id
from llmcycle.config.stages import Stage

FINETUNE = ("finetune", "inputs.model=owner/name")


def refusals(recipe: str, *overrides: str) -> dict[str, tuple[str, str]]:
    try:
        check(compose(locate(recipe), [*overrides]))
    except RecipeErrors as error:
        return {each.key: (each.reason, each.remedy) for each in error.errors}
    return {}


def stage(*overrides: str) -> Stage:
    return Stage(compose(locate("finetune"), ["inputs.model=owner/name", *overrides]))


def test_an_option_that_says_nothing_has_the_facts_of_lora() -> None:
    assert facts(None) == facts({"_target_": "mine.Method"}) == Facts()


def test_they_are_taken_off_at_any_depth() -> None:
    assert taken_off({"a": [{"_method_": {"merges": False}, "r": 8}]}) == {"a": [{"r": 8}]}


def test_a_method_is_built_without_them(here: Path) -> None:
    config = build_part(stage("peft=vera", "peft.r=16"), "peft")
    assert (type(config).__name__, config.r) == ("VeraConfig", 16)
    assert build_part(stage("peft=none"), "peft") == {}


def test_the_rate_of_a_built_stage_is_the_methods(here: Path) -> None:
    assert build_part(stage("peft=vera"), "optim").keywords["lr"] == pytest.approx(3.0e-2)
    assert build_part(stage("peft=vera", "peft._method_.learning_rate=2"), "optim").keywords["lr"] == 6.0e-3
    assert build_part(stage("peft=vera", "optim.lr=0.5"), "optim").keywords["lr"] == 0.5


def test_a_fact_is_in_the_id_only_by_what_follows_from_it(here: Path) -> None:
    ids = [stage_id(stage("peft=vera", "optim.lr=1.0e-3", *more)) for more in ((), ["peft._method_.learning_rate=2"])]
    assert ids[0] == ids[1]
    assert stage_id(stage("peft=vera")) != stage_id(stage("peft=vera", "peft._method_.learning_rate=2"))


@pytest.mark.parametrize(
    ("override", "key", "reason"),
    [
        ("+peft._method_.learning_rat=2", "peft._method_.learning_rat", "no fact"),
        ("peft._method_.learning_rate=fast", "peft._method_.learning_rate", "a number is needed"),
        ("+peft._method_.merges=2", "peft._method_.merges", "true or false is needed"),
    ],
)
def test_what_is_no_fact_is_refused(here: Path, override: str, key: str, reason: str) -> None:
    assert reason in refusals(*FINETUNE, "peft=vera", override)[key][0]


@pytest.mark.parametrize(
    ("recipe", "overrides", "key"),
    [
        ("align", ["peft=pissa"], "peft"),
        ("rlvr", ["peft=kasa"], "peft"),
        ("align", ["peft=eva"], "peft"),
        ("reward", ["peft=lora_ga"], "peft"),
        ("finetune", ["peft=prefix_tuning", "batches.pack=true"], "batches.pack"),
        ("finetune", ["peft=none", "model=nf4"], "peft"),
    ],
)
def test_what_a_fact_rules_out_is_refused_with_a_remedy_that_works(
    here: Path, recipe: str, overrides: list[str], key: str
) -> None:
    remedy = refusals(recipe, "inputs.model=owner/name", *overrides)[key][1]
    assert refusals(recipe, "inputs.model=owner/name", *overrides, remedy.partition(",")[0]) == {}
