"""Prompts of a recipe's own data: those that it keeps for validation, which no model has been trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmcycle.building import build_part
from llmcycle.config import check_shown, compose, locate, stages
from llmcycle.config.errors import ConfigError
from llmcycle.data.encode import Row

RECIPE = "recipe.yaml"  # beside every artifact
REMEDY = "--prompts FILE, or --recipe align, whose held-out prompts are taken"


def held_out(recipe: str, outputs: str) -> list[Row]:
    """The validation rows of the first stage of a recipe that has data.

    Args:
        outputs: the folder of the store that its inputs are found in.

    Raises:
        ConfigError: the recipe is wrong, or none of its stages has any.
    """
    root = compose(locate(recipe), [f"outputs={outputs}"])
    check_shown(root)
    stage = next((stage for stage in stages.of(root) if stage.node.get("data")), None)
    if stage is None:
        raise ConfigError("--recipe", f"no stage of {recipe} has data", REMEDY)
    data: Any = build_part(stage, "data")
    rows: list[Row] = list(getattr(data, "validation", None) or [])
    if not rows:
        raise ConfigError("--recipe", f"{recipe} keeps no rows for validation", REMEDY)
    return rows


def own_recipe(folder: Path) -> str:
    """The recipe that made an artifact. Raises ConfigError: the folder is of no artifact."""
    if not (folder / RECIPE).exists():
        raise ConfigError(str(folder), "what it is to be asked is not known: it has no recipe of its own", REMEDY)
    return str(folder / RECIPE)
