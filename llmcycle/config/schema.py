"""What every stage recipe begins with: the keys of a stage that are no parts, and each of our groups, left out."""

from __future__ import annotations

from functools import cache
from typing import Any

from .paths import shipped

# Keys of a stage that are not parts of it.
SETTINGS: dict[str, Any] = {
    "name": "???",
    "seed": "${seed}",
    "outputs": "${outputs}",
    "lifecycle": None,
    "resume": "auto",
    "inputs": {},
}
OF_RUNS = ("search",)  # groups whose options belong to the whole run and to no stage


@cache
def parts() -> tuple[str, ...]:
    """Our own groups, which are the folders of `conf`; a part can refer to each of them, be it there or left out.

    Those of a user's ./conf are not among them, so that a recipe means the same wherever it is composed.
    """
    return tuple(sorted(path.name for path in shipped("conf").iterdir() if path.is_dir() and path.name not in OF_RUNS))


def register() -> None:
    """Make `/stage_schema` known to Hydra's config store; repeating it is harmless."""
    from hydra.core.config_store import ConfigStore

    node = {**SETTINGS, **dict.fromkeys(parts())}
    ConfigStore.instance().store(name="stage_schema", node=node, provider="llmcycle")
