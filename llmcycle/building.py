"""A composed stage becomes objects: inputs as folders, and the data built once for all parts that read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import open_dict

from llmcycle.config import identity
from llmcycle.config.facts import taken_off
from llmcycle.config.plain_tree import plain
from llmcycle.config.stages import Stage
from llmcycle.evaluate.metric import Metrics


def build(stage: Stage) -> Callable[..., Metrics]:
    """The stage with all of its parts, waiting for `out` and `logger`."""
    return build_part(stage, "stage", _partial_=True)  # type: ignore[no-any-return]


def build_part(stage: Stage, part: str, **options: object) -> Any:
    """One part of a stage with all that it refers to. Inputs become folders here."""
    store = identity.store(stage.root)
    values = {key: identity.location(stage, key) for key in stage.inputs}
    node = Stage(stage.root.copy(), stage.name).node
    with open_dict(node):
        node.inputs = {key: str(a.folder) if (a := store.find(value)) else value for key, value in values.items()}
    try:
        data = node.get("data")
        tree = with_data(taken_off(plain(node[part])), taken_off(plain(data)) if data is not None else None)
        return instantiate(tree, _convert_="all", **options)
    except InstantiationException as error:
        # A part's own complaint says more than where Hydra was when it heard it.
        raise (error.__cause__ if isinstance(error.__cause__, ValueError) else error) from None


def with_data(tree: object, data: object) -> Any:
    """A part whose references to the stage's data are all one object, so that a large file is read once."""
    if tree == data or not (isinstance(data, dict) and "_target_" in data and refers(tree, data)):
        return tree
    return replaced(tree, data, instantiate(data, _convert_="all"))


def refers(tree: object, node: dict[str, Any]) -> bool:
    """Whether a node stands anywhere in a tree of plain values."""
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return tree == node or any(refers(item, node) for item in inner)


def replaced(tree: object, node: dict[str, Any], value: object) -> Any:
    """The tree with a value wherever the node stood."""
    if tree == node:
        return value
    if isinstance(tree, dict):
        return {key: replaced(item, node, value) for key, item in tree.items()}
    return [replaced(item, node, value) for item in tree] if isinstance(tree, list) else tree
