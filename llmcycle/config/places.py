"""What a recipe may have written, and where: folders lie inside `outputs`, and names do not lead out of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .allow import check_target, resolve
from .errors import ConfigError
from .hydra_node import inside
from .near import overrides
from .plain_tree import targets
from .stages import Stage

# Arguments of library classes, by their names: folders that are written to, names of files and runs in them, and
# addresses to which a tracker sends what it is told.
FOLDER = re.compile(r"(\w+_)?(dir|dirpath|directory|location|folder)|nvme_path")
NAME = re.compile(r"filename|name|version|sub_dir|prefix|experiment_name|run_name|checkpoint_name")
ADDRESS = re.compile(r"(\w+_)?(uri|url|host|proxies)")
CACHE = "cache_dir"  # of what is loaded: a part of ours hands it on
LOGGER = "pytorch_lightning.loggers.Logger"
WRITING = (LOGGER, "pytorch_lightning.Callback", "pytorch_lightning.profilers.Profiler")


def check_places(stage: Stage) -> Iterator[ConfigError]:
    """Nothing that a part of a library writes lies outside of `outputs`, and nothing is sent where a file says."""
    for path, node in (each for part, value in stage.settled.items() for each in targets(value, part)):
        target = check_target(node["_target_"], stage.dot(path))
        ours = target.__module__.startswith("llmcycle.") and not is_one(target, LOGGER)
        for name, value in arguments(target, node).items():
            if isinstance(value, str) and not (ours and name != CACHE):
                yield from check_place(stage, target, name, value, f"{stage.dot(path)}.{name}")


def arguments(target: Any, node: Mapping[str, Any]) -> dict[str, Any]:
    """A node's arguments by name, those by position too."""
    names = [name for name in inspect.signature(target).parameters if name != "self"]
    return {**dict(zip(names, node.get("_args_") or (), strict=False)), **node}


def check_place(stage: Stage, target: Any, name: str, value: str, key: str) -> Iterator[ConfigError]:
    """One argument."""
    outputs = str(stage.root.outputs)
    if FOLDER.fullmatch(name) and not inside(Path(value), Path(outputs)):
        reason = f"{value} lies outside of outputs={outputs}, and what a run writes stays inside"
        yield ConfigError(key, reason, f"{key}={Path(outputs) / 'own'}")
    elif NAME.fullmatch(name) and any(is_one(target, each) for each in WRITING) and leads_out(value):
        reason = f"{value} leads out of the folder that it is written to, and what a run writes stays inside of outputs"
        yield ConfigError(key, reason, f"{key}={Path(value).name or 'own'}")
    elif ADDRESS.fullmatch(name) and is_one(target, LOGGER) and not was_typed(stage, key):
        reason = "where a tracker sends what it is told is taken from the command line or the environment, not from a "
        yield ConfigError(key, f"{reason}file; nor may it be a place outside of outputs", f"'{key}={value}' typed")


def is_one(target: Any, family: str) -> bool:
    """Whether a target is a class of a family."""
    return isinstance(target, type) and issubclass(target, resolve(family, family))


def leads_out(name: str) -> bool:
    """Whether a name leaves the folder that it is put behind."""
    return Path(name).is_absolute() or ".." in Path(name).parts


def was_typed(stage: Stage, key: str) -> bool:
    """Whether the value comes from the command line."""
    return any(override.lstrip("+").partition("=")[0] == key for override in overrides(stage.root))
