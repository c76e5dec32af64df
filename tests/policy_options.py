"""Options of `loss` that a policy takes, built with the settings of their YAML."""

from __future__ import annotations

from functools import cache
from typing import Any

from hydra.utils import get_class

from llmcycle.align.losses import PolicyLoss
from llmcycle.config.options import option
from llmcycle.config.paths import groups

LENGTH = 8  # of the longest answer, which a recipe would say


@cache
def names() -> tuple[str, ...]:
    """All of them."""
    return tuple(
        name for name in sorted(groups()["loss"]) if issubclass(get_class(option("loss", name)["_target_"]), PolicyLoss)
    )


def policy_loss(name: str, **settings: Any) -> PolicyLoss:
    """One of them, with further settings."""
    node = {**option("loss", name), **settings}
    if isinstance(node.get("length"), str):
        node["length"] = LENGTH
    loss = get_class(node.pop("_target_"))(**node)
    assert isinstance(loss, PolicyLoss)
    return loss
