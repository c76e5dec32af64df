"""Every shipped recipe and option, found by glob: it says what it is, composes, and passes the whole check."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmcycle.config import ConfigError, RecipeErrors, check, compose, groups, locate, recipes
from llmcycle.config.paths import shipped

ALONE = [name for name in recipes() if not name.endswith("lifecycle")]
OPTIONS = [(group, option) for group, options in groups().items() if group != "recipes" for option in options]


def inputs(recipe: str) -> list[str]:
    """A Hub name for every input that a recipe leaves open."""
    root = compose(locate(recipe))
    return [f"inputs.{key}=owner/name" for key in root.get("inputs", {}) if not root.lifecycle]


def choices(recipe: str) -> dict[str, str]:
    return dict(compose(locate(recipe)).hydra.runtime.choices)


def problems(recipe: str, overrides: list[str]) -> list[ConfigError]:
    try:
        check(compose(locate(recipe), overrides))
    except RecipeErrors as error:
        return error.errors
    return []


@pytest.fixture(scope="session")
def by_group() -> dict[str, str]:
    """For each group, a recipe that lets it be swapped."""
    return {group: recipe for recipe in ALONE for group in choices(recipe)}


@pytest.mark.parametrize("recipe", recipes())
def test_recipes_pass_their_check(recipe: str, here: Path) -> None:
    assert not problems(recipe, inputs(recipe))


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda word: word)
def test_options_pass_the_check_of_a_recipe_that_has_their_group(
    group: str, option: str, here: Path, by_group: dict[str, str]
) -> None:
    if group == "world":
        assert compose(locate("pretrain")).world == compose(locate("pretrain"), [f"+world={option}"]).world
        return
    recipe = by_group.get(group)
    swap = f"{group}={option}" if recipe else f"+{group}={option}"
    recipe = recipe or "finetune"
    found = problems(recipe, [*inputs(recipe), swap])
    assert all("missing" in error.reason or "nothing" in error.reason for error in found), found


@pytest.mark.parametrize(
    "path", sorted(shipped("conf").glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_options_are_short_and_say_what_they_are(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert lines[0].startswith("# "), "the first line says what the option is, or where it is documented"
    assert len([line for line in lines if line.strip() and not line.startswith("#")]) <= 16


@pytest.mark.parametrize("recipe", recipes())
def test_recipes_say_what_they_are(recipe: str) -> None:
    lines = (shipped("recipes") / f"{recipe}.yaml").read_text("utf-8").splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith("# ")
