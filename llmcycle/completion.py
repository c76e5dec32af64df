"""What the shell's TAB may offer that Hydra does not know, and whether Hydra may look into a recipe at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from llmcycle.surroundings import default_outputs

NESTED = re.compile(r"(\+?([\w/]+)@[\w.]+=)\w*")
INPUT = re.compile(r"((?:\w+\.)*inputs\.\w+=).*")
OF_RECIPES = ("check", "data", "cp")  # verbs that take a recipe


def choices(word: str, current: str, is_verb: bool, recipes: Sequence[str]) -> list[str] | None:
    """What a verb takes, artifacts as inputs, options of nested groups; None where Hydra knows what may stand here.

    Args:
        word: the recipe or the verb; "" for none yet.
        current: what has been typed of the word to complete.
    """
    if word in OF_RECIPES and "=" not in current:
        return list(recipes)
    if nested := NESTED.fullmatch(current):
        from llmcycle.config import groups

        return [f"{nested[1]}{name}" for name in groups().get(nested[2], ())]
    key = INPUT.fullmatch(current)
    if is_verb or key:
        return [f"{key[1] if key else ''}{name}" for name in artifacts()]
    return None


def artifacts() -> list[str]:
    """Names of those in the store."""
    from llmcycle.artifact import Store

    store = Store(Path(default_outputs()) / "artifacts")
    return [*(artifact.folder.name for artifact in store.artifacts()), *store.tags]


def recipe(word: str) -> Path | None:
    """The recipe that a word names; None for none, and for one that Hydra may not look into: the run says why."""
    from llmcycle.config import compose, locate
    from llmcycle.config.hydra_node import check_hydra

    try:
        path = locate(word)
        return None if check_hydra(compose(path)) else path
    except ValueError:
        return None
