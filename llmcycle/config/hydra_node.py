"""The `hydra` node of a composition is YAML too: its targets and its logging factories are judged like ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import stages
from .allow import extra, permitted
from .errors import ConfigError

# Hydra's own launchers, sweepers and callbacks, and the plugins that a user has installed for them.
TARGETS = ("hydra._internal.core_plugins", "hydra.experimental.callbacks", "hydra_plugins")


def check_hydra(node: Any) -> list[ConfigError]:
    """Everything under `hydra` that would call something outside Hydra and logging."""
    plain = stages.plain(node, resolve=False)
    targets = [
        ConfigError(f"{key}._target_", f"a recipe may not call {target['_target_']} from Hydra's node")
        for key, target in stages.targets(plain, "hydra")
        if not may_call(str(target["_target_"]))
    ]
    return [*targets, *check_logging(plain)]


def may_call(name: str) -> bool:
    """Whether Hydra may build `name`; dunder and private parts could lead anywhere."""
    return permitted(name, [*TARGETS, *extra()]) and not any(part.startswith("__") for part in name.split("."))


def check_logging(plain: dict[str, Any]) -> Iterator[ConfigError]:
    """Factories of the two logging configurations."""
    for part in ("job_logging", "hydra_logging"):
        for path, value in stages.strings(plain.get(part) or {}, f"hydra.{part}"):
            last = path.rpartition(".")[2]
            if (last in ("class", "()") or value.startswith("ext://")) and not may_log(value):
                yield ConfigError(path, f"a logging configuration may not name {value}")


def may_log(value: str) -> bool:
    """Whether a logging configuration may name `value`: a class of logging itself, or a standard stream."""
    streams = ("ext://sys.stdout", "ext://sys.stderr")
    modules = ("logging.StreamHandler", "logging.FileHandler", "logging.NullHandler", "logging.Formatter")
    rest = ("logging.handlers", "colorlog")
    return value in streams or value in modules or permitted(value, rest)
