"""The `recipe.yaml` that every artifact holds: the stage as it was run, which gives the same artifact again."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import yaml

from llmcycle.artifact import Artifact, Store

from . import identity
from .plain_tree import REFERENCE
from .stages import Stage

HEADER = "# @package _global_\n# Written by llmcycle. `llmcycle THIS_FILE` makes the artifact beside it again.\n"


def stays(text: str, own: Collection[str]) -> bool:
    """Whether an interpolation is kept: it points inside the stage, or to the environment (a secret, perhaps)."""
    return all(inner.startswith("oc.env:") or is_inside(inner, own) for inner in REFERENCE.findall(text))


def is_inside(inner: str, own: Collection[str]) -> bool:
    """Whether what stands between `${` and `}` points to a key of the stage: up to it, or down from the root."""
    resolver, colon, arguments = inner.partition(":")
    pointer = (arguments if colon else resolver).lstrip()
    downwards = not colon or resolver == "oc.select"
    return resolver == "input" or pointer.startswith(".") or (downwards and re.split(r"[.,\[]", pointer)[0] in own)


def settle(raw: Any, resolved: Any, own: Collection[str] = ()) -> Any:
    """`raw` with those interpolations resolved that lead out of the stage, whose parts at the root are `own`."""
    if isinstance(raw, dict):
        return {key: settle(item, resolved[key], own) for key, item in raw.items()}
    if isinstance(raw, list):
        return [settle(item, other, own) for item, other in zip(raw, resolved, strict=True)]
    return raw if isinstance(raw, str) and "${" in raw and stays(raw, own) else resolved


def inputs(stage: Stage) -> dict[str, str]:
    """Inputs as they are written down: `NAME-ID` of an artifact of this store, the whole path of another, else as the
    user gave them."""
    store, values = identity.store(stage.root), {key: identity.location(stage, key) for key in stage.inputs}
    artifacts = {key: store.find(value) for key, value in values.items()}
    return {key: place(artifact, store) if artifact else values[key] for key, artifact in artifacts.items()}


def place(artifact: Artifact, store: Store) -> str:
    """By what an artifact is found again, wherever the recipe is run from."""
    folder = artifact.folder.resolve()
    return folder.name if folder.parent == store.root.resolve() else str(folder)


def written(stage: Stage) -> dict[str, Any]:
    """The stage as a plain mapping that composes to the same id, alone, on this store."""
    resolved = stage.resolved({})
    own = () if stage.name else tuple(stage.parts)
    settled = {key: settle(item, resolved[key], own) for key, item in stage.raw.items() if key != "inputs"}
    return {**settled, "inputs": inputs(stage)}


def text(written: Mapping[str, Any]) -> str:
    """The file's text, of what `written` gives."""
    body = {"defaults": ["/stage_schema", "/base", "_self_"], **written}
    return HEADER + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=120)
