"""Every shipped recipe and option, found by glob: it says what it is, composes, and passes the whole check."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig

from llmcycle.config import ConfigError, RecipeErrors, check, compose, groups, locate, plan_search, recipes
from llmcycle.config.paths import shipped

LIFE_CYCLES = ("lifecycle", "rlaif")
ALONE = [name for name in recipes() if name not in LIFE_CYCLES and "/" not in name]
OPTIONS = [(group, option) for group, options in groups().items() if group != "recipes" for option in options]

# What has to be chosen with an option.
TOGETHER = {
    "batches/streamed": ["data=corpus"],
    "callbacks/early_stopping": ["trainer=validated"],
    "data/constitution_preferences": ["++inputs.rows=owner/rows"],
    "evaluate/hhh_real": ["data=hh_rlhf"],
    "evaluate/judge_audit": ["++inputs.judge=owner/other", "data=storefront_preferences"],
    "evaluate/win_rate": ["++inputs.judge=owner/other"],
    "evaluate/multiple_choice": ["data=multiple_choice"],
    "generate/likelihood": ["data=multiple_choice"],
    "prompt/chain_of_thought": ["data=storefront_instructions"],
    "prompt/worked_answers": ["data=json"],
    "reward/ensemble": ["++inputs.second_reward=owner/other"],
    "reward/judge": ["++inputs.judge=owner/other"],
    "judge": ["reward=judge", "++inputs.judge=owner/other"],
    "rubric": ["reward=judge", "++inputs.judge=owner/other"],
}
# Groups that no recipe chooses from by itself: the recipe that takes one, and the override with a place for an option.
ADDED = {
    "environment": ("rlvr", "+environment@objective.environment={}"),
    "judge": ("rlvr", "judge@reward.engine={}"),
    "rubric": ("rlvr", "rubric@reward.rubric={}"),
}
WAITING = ("smollm2/", "nanogpt")  # recipes that only lack a file of the user's


def inputs(recipe: str) -> list[str]:
    """A Hub name for every input that a recipe leaves open."""
    root = compose(locate(recipe))
    return [f"inputs.{key}=owner/name" for key in root.get("inputs", {}) if not root.lifecycle]


def problems(recipe: str, overrides: list[str]) -> list[ConfigError]:
    try:
        check(compose(locate(recipe), overrides))
    except RecipeErrors as error:
        return error.errors
    return []


@cache
def roots() -> dict[str, DictConfig]:
    """All recipes of one stage, composed once."""
    return {name: compose(locate(name)) for name in ALONE}


@cache
def swaps(group: str) -> list[tuple[str, str]]:
    """(recipe, override with a place for an option) of everything that lets a group be swapped."""
    if group in ADDED:
        return [ADDED[group]]
    keys = [(name, str(key)) for name, root in roots().items() for key in root.hydra.runtime.choices]
    single = [(name, f"{key}={{}}") for name, key in keys if key.partition("@")[0] == group]
    # Hydra does not list the choices of a group of which several options are taken at once.
    return single or [(name, f"{group}=[{{}}]") for name, root in roots().items() if root.get(group)]


@pytest.mark.parametrize("recipe", recipes())
def test_recipes_pass_their_check(recipe: str, here: Path) -> None:
    found = problems(recipe, inputs(recipe))
    assert not [error for error in found if not (recipe.startswith(WAITING) and is_open(error))], found


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda word: word)
def test_options_pass_the_check_of_a_recipe_that_has_their_group(group: str, option: str, here: Path) -> None:
    if group == "world":
        world = compose(locate("lifecycle"), [f"world={option}"]).world
        file = yaml.safe_load((shipped("conf") / group / f"{option}.yaml").read_text("utf-8"))
        own = {key: value for key, value in file.items() if key != "defaults"}
        assert {key: world[key] for key in own} == own
        assert not problems("lifecycle", [f"world={option}"])
        return
    if group == "search":
        words = [*inputs("finetune"), "callbacks=judged", f"search={option}", "optim.lr=1e-3,2e-3"]
        plan = plan_search(locate("finetune"), words, check)
        assert plan is not None
        assert len(plan.arms) == 2
        return
    found: list[ConfigError] = []
    for recipe, swap in swaps(group):
        together = TOGETHER.get(f"{group}/{option}", TOGETHER.get(group, []))
        more = [*together, *([f"stage.baseline={option}"] if group == "prompt" else ())]
        errors = problems(recipe, [*inputs(recipe), swap.format(option), *more])
        found = [error for error in errors if not is_open(error) and "not installed" not in error.reason]
        if not found:
            return
    raise AssertionError(f"no recipe takes it: {found}")


def is_open(error: ConfigError) -> bool:
    """Whether an option only waits for a value, such as a file."""
    return "missing" in error.reason.lower()


@pytest.mark.parametrize(
    "path", sorted(shipped("conf").glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_options_are_short_and_say_what_they_are(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert lines[0].startswith("# "), "the first line says what the option is, or where it is documented"
    assert len([line for line in lines if line.strip() and not line.startswith("#")]) <= 18


@pytest.mark.parametrize("recipe", recipes())
def test_recipes_say_what_they_are(recipe: str) -> None:
    lines = (shipped("recipes") / f"{recipe}.yaml").read_text("utf-8").splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# ")
