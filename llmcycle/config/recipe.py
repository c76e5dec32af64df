"""The `recipe.yaml` that every artifact holds: the stage as it was run, which gives the same artifact again."""

from __future__ import annotations

from typing import Any

import yaml
from omegaconf import DictConfig

from . import identity, stages
from .stages import REFERENCE

HEADER = "# @package _global_\n# Written by llmcycle. `llmcycle THIS_FILE` makes the artifact beside it again.\n"


def stays(text: str) -> bool:
    """Whether an interpolation is kept: it points inside the stage, or to the environment (a secret, perhaps)."""
    inner = REFERENCE.findall(text)
    return all(one.rpartition(":")[2].lstrip().startswith(".") or one.startswith("oc.env:") for one in inner)


def settle(raw: Any, resolved: Any) -> Any:
    """`raw` with those interpolations resolved that lead out of the stage."""
    if isinstance(raw, dict):
        return {key: settle(item, resolved[key]) for key, item in raw.items()}
    if isinstance(raw, list):
        return [settle(item, other) for item, other in zip(raw, resolved, strict=True)]
    return raw if isinstance(raw, str) and "${" in raw and stays(raw) else resolved


def inputs(root: DictConfig, name: str) -> dict[str, str]:
    """Inputs as they are written down: `NAME-ID` of an artifact, else as the user gave them."""
    given = stages.node(root, name).inputs
    store = identity.store(root)
    found = {key: store.find(str(given[key])) for key in given}
    return {key: artifact.folder.name if artifact else str(given[key]) for key, artifact in found.items()}


def written(root: DictConfig, name: str) -> dict[str, Any]:
    """The stage as a plain mapping that composes to the same id, alone, on this store."""
    raw = stages.raw(stages.node(root, name))
    resolved = identity.resolved(root, name, {})
    settled = {key: settle(item, resolved[key]) for key, item in raw.items() if key != "inputs"}
    return {**settled, "inputs": inputs(root, name)}


def text(root: DictConfig, name: str) -> str:
    """The file's text."""
    body = {"defaults": ["/stage_schema", "/base", "_self_"], **written(root, name)}
    return HEADER + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=120)
