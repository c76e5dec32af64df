"""Overrides that take something out, such as `~peft`, where Hydra can't: what stands there, and how it is taken out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hydra import compose as hydra_compose
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from . import plain_tree, stages
from .complaint import Complaint
from .errors import ConfigError, nearest
from .near import dotted, see, swaps
from .options import choice
from .paths import groups
from .stages import Stage


def bad_deletion(complaint: Complaint) -> ConfigError:
    """Something taken out that is not there, that is a whole stage, or that is a list of options."""
    name = complaint.key
    config = hydra_compose(complaint.name, return_hydra_config=True)
    known, tree = swaps(config), plain_tree.plain(config, resolve=False)
    if f"recipes@{name}" in known and config.get("lifecycle"):
        rest = ",".join(stage for stage in config.lifecycle if stage != name)
        return ConfigError(f"~{name}", "it is a whole stage, which runs if lifecycle names it", f"lifecycle=[{rest}]")
    if name in known:
        return ConfigError(f"~{name}", "this recipe has another option there", f"~{name}, whichever it is")
    several = lists(complaint.name, config)
    if same := [swap for swap in (*known, *several) if swap.partition("@")[0] == name and swap != name]:
        typed = [deletion(swap, several) for swap in sorted(same)]
        return ConfigError(f"~{name}", "several stages have one: say which is meant", choice(typed))
    if name in several:
        return bad_list(complaint, tree)
    near = nearest(name, [*known, *several, *dotted(tree)])
    remedy = deletion(near, several) if near else see(complaint.name)
    return ConfigError(f"~{name}", "this recipe has nothing of this name", remedy)


def bad_list(complaint: Complaint, tree: dict[str, Any]) -> ConfigError:
    """A list of options, of which Hydra takes out one by its key, and all by an empty list."""
    name = complaint.key
    place = name.rpartition("@")[2]
    options = [option.strip() for option in complaint.typed(name).strip("[]").split(",") if option]
    there = [option for option in options if plain_tree.at(tree, (*place.split("."), option)) is not None]
    remedy = " ".join(f"~{place}.{option}" for option in there) or f"{name}=[]"
    return ConfigError(f"~{name}", "it is a list of options, which Hydra doesn't take out as a whole", remedy)


def lists(name: str, config: DictConfig) -> list[str]:
    """What may be typed before `=[OPTION,...]` where a recipe composes several options: Hydra calls them no choices."""
    known, every = swaps(config), [Stage(config, stage) for stage in stages.present(config) or [""]]
    places = [(stage, str(key), value) for stage in every for key, value in stage.written.items()]
    maybe = [(stage.swap(key), key) for stage, key, value in places if key in groups() and isinstance(value, dict)]
    here = [(swap, group) for swap, group in maybe if swap not in known]
    # A mapping that a file has at this place is no list; to ask for each of them would take seconds.
    sure = {group for group, swap in {group: swap for swap, group in here}.items() if composes(name, f"{swap}=[]")}
    return [swap for swap, group in here if group in sure]


def composes(name: str, override: str) -> bool:
    """Whether Hydra takes an override."""
    try:
        hydra_compose(name, overrides=[override])
    except (HydraException, OmegaConfBaseException):
        return False
    return True


def deletion(key: str, several: Sequence[str]) -> str:
    """How a key, or the options of a group, are taken out."""
    return f"{key}=[]" if key in several else f"~{key}"


def other_value(complaint: Complaint) -> ConfigError:
    """A key taken out if it has a value that it does not have."""
    found = re.search(r"is (.*) and not (.*)\.$", complaint.text.strip().splitlines()[0])
    now, typed = found.groups() if found else ("another", complaint.typed(complaint.subject))
    reason = f"its value is {now} and not {typed}"
    return ConfigError(f"~{complaint.subject}", reason, f"~{complaint.subject}, whatever its value is")
