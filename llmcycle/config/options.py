"""The options of a group as plain mappings, and which of them to type in place of one that does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from . import plain_tree, usual
from .paths import groups, shipped
from .stages import Stage

FEW = 6  # options that a remedy names


class Swaps:
    """Where a stage's options may be swapped, and what the user has swapped."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.groups: dict[str, tuple[str, str]] = {}  # place in the stage: (group, what is typed before the "=")
        name, hydra = stage.name, stage.root.get("hydra")
        choices = hydra.runtime.choices if hydra else {}
        overrides = (
            plain_tree.plain(hydra.overrides.task, resolve=False) if hydra else ()
        )  # a reference is not followed
        for choice in map(str, choices):
            group, _, package = choice.partition("@")
            place = package or group
            inside = place if not name else place.removeprefix(f"{name}.") if place.startswith(f"{name}.") else ""
            if inside and not inside.startswith(("_global_", "hydra")):
                self.groups[inside.replace("/", ".")] = (group, choice)
        self.typed = {key.lstrip("+"): key for key in (override.partition("=")[0] for override in overrides)}

    def at(self, place: str) -> str:
        """The longest place with a group of its own that `place` is or lies in; "" where there is none."""
        over = [group for group in self.groups if place == group or place.startswith((f"{group}.", f"{group}["))]
        return max(over, key=len, default="")

    def was_typed(self, place: str) -> bool:
        """Whether the user has chosen the option there."""
        return self.groups[place][1] in self.typed if place in self.groups else False

    def chosen(self, place: str) -> dict[str, Any]:
        """The option at a place as its file has it."""
        group, key = self.groups.get(self.at(place), ("", ""))
        hydra = self.stage.root.get("hydra")
        return option(group, str(hydra.runtime.choices[key])) if hydra and key else {}

    def remedy(self, place: str, suits: Callable[[dict[str, Any]], bool]) -> str:
        """What to type for an option at `place` that suits: `loss=dpo`, or a choice of several; "" where none does."""
        own = self.at(place) or place
        group, key = self.groups.get(own, (own, f"+{self.stage.swap(own)}"))
        # With a "+" where the recipe does not have the group, and without one where a list of options was emptied.
        key = self.typed.get(key.removeprefix("+"), key)
        fit = [name for name in ready(group) if suits(option(group, name))]
        if key in self.typed:  # what the recipe has by itself goes with all its other parts
            own_option = usual.choices(self.stage.root).get(key)
            fit.sort(key=lambda name: name != own_option)
        return choice([f"{key}={name}" for name in fit])


def choice(typed: list[str]) -> str:
    """One thing to type, or a choice of a few."""
    return "".join(typed) if len(typed) < 2 else f"one of: {', '.join(typed[:FEW])}{', ...' * (len(typed) > FEW)}"


def ready(group: str) -> list[str]:
    """The options of a group, those that ask for a file or an input of the user's last."""
    return sorted(groups().get(group, ()), key=lambda name: asks(option(group, name).values()))


def asks(values: Iterable[Any]) -> bool:
    """Whether one of some settings is to be given by the user."""
    return any(value == "???" or "${input:" in str(value) for value in values)


@cache
def written(group: str, name: str) -> dict[str, Any]:
    """An option's own file, that of the user first."""
    for root in (Path("conf"), shipped("conf")):
        if (path := root / group / f"{name}.yaml").is_file():
            return dict(yaml.safe_load(path.read_text("utf-8")) or {})
    return {}


def option(group: str, name: str) -> dict[str, Any]:
    """An option with what it takes over from others of its group; interpolations stay as they are written."""
    own = {key: value for key, value in written(group, name).items() if key != "defaults"}
    whole: dict[str, Any] = {}
    for base in written(group, name).get("defaults", ()):
        if isinstance(base, str) and base != "_self_" and "@" not in base:
            other, _, file = base.lstrip("/").rpartition("/")
            whole = merged(whole, option(other if base.startswith("/") else group, file))
    return merged(whole, own)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, mapping by mapping."""
    both = {
        key: merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in over.items()
    }
    return {**base, **both}
