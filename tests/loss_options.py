"""Options of `loss` by what an objective calls them with, built with the settings of their YAML."""

from __future__ import annotations

from functools import cache
from typing import Any

from hydra.utils import get_class

from llmcycle.align.losses import PreferenceLoss
from llmcycle.config.nested import conforms_class
from llmcycle.config.options import option
from llmcycle.config.paths import groups


@cache
def of(protocol: type = PreferenceLoss) -> dict[str, Any]:
    """By name."""
    nodes = {name: option("loss", name) for name in groups()["loss"]}
    targets = {name: get_class(node.pop("_target_")) for name, node in nodes.items()}
    return {name: targets[name](**nodes[name]) for name in sorted(nodes) if conforms_class(targets[name], protocol)}
