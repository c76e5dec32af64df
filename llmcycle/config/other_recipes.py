"""Remedies that lie in another recipe: one that has the input or the part that this one is without."""

from __future__ import annotations

import shlex
from typing import Any

import yaml
from hydra import compose as hydra_compose
from omegaconf import DictConfig

from . import stages
from .complaint import Complaint
from .errors import ConfigError
from .near import see
from .paths import extended, groups, recipes, shipped
from .stages import Stage


def with_input(complaint: Complaint, key: str, config: DictConfig) -> str:
    """The shipped recipe that extends this one, or a stage of it, by an input; "" where none does."""
    place, _, name = key.rpartition(".inputs.") if ".inputs." in key else ("", "", key.removeprefix("inputs."))
    own = str(config.hydra.runtime.choices.get(f"recipes@{place}")) if place else complaint.name
    if not key.endswith(f"inputs.{name}") or name in (Stage(config, place).written.get("inputs") or {}):
        return ""
    other = next((recipe for recipe in recipes() if extended(recipe) == own and name in inputs_of(recipe)), "")
    if not other:
        return ""
    typed = " ".join(shlex.quote(override) for override in complaint.overrides)
    return f"recipes@{place}={other} {typed}" if place else f"llmcycle {other} {typed}"


def inputs_of(recipe: str) -> dict[str, Any]:
    """The inputs that a shipped recipe's own file names."""
    text = (shipped("recipes") / f"{recipe}.yaml").read_text("utf-8")
    return dict((yaml.safe_load(text) or {}).get("inputs") or {})


def absent(part: str, name: str, value: str) -> ConfigError:
    """A part that the recipe leaves out: `part` is where it would stand, such as `finetune.generate`."""
    place, _, group = part.rpartition(".")
    config = hydra_compose(name, return_hydra_config=True)
    stage = Stage(config, place) if not place or stages.is_stage(config.get(place)) else None
    if stage is not None and stage.node.get("stage") and (group,) in stage.reads:
        return ConfigError(
            part, "this recipe leaves the part out; with a + it is added", f"+{stage.swap(group)}={value}"
        )
    others = sorted((recipe for recipe in having(group) if recipe != name), key=lambda recipe: recipe != group)
    typed = f" {group}={value}" if value in groups().get(group, ()) else ""
    remedy = f"llmcycle {others[0]}{typed}, which has one" if others and group in groups() else see(name)
    return ConfigError(part, "this recipe has no such part", remedy)


def having(group: str) -> list[str]:
    """The shipped recipes whose own list of defaults names a group."""
    home = shipped("recipes")
    return [name for name in recipes() if f"/{group}:" in (home / f"{name}.yaml").read_text("utf-8")]
