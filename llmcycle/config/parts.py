"""The parts of a stage as the rules on kinds see them: what is built where, and what its class states of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from . import plain_tree
from .allow import lookups, resolve
from .nested import is_node
from .options import Swaps
from .signature import CONTROL
from .stages import Stage
from .values import at, by_name, origin, steps

Suits = Callable[[dict[str, Any]], bool]


class Part(NamedTuple):
    """A node of a stage: its settings, and the place where it is written."""

    node: dict[str, Any]
    place: str

    @property
    def target(self) -> Any:
        """What it builds."""
        return resolve(self.node["_target_"], "")

    @property
    def name(self) -> str:
        """What it builds, by its last name."""
        return str(self.node["_target_"]).rpartition(".")[2]


def part(stage: Stage, place: str) -> Part | None:
    """What is built at a place, seen through references; None where nothing is."""
    node = at(stage.settled, steps(place))
    return Part(node, origin(stage.raw, place)) if is_node(node) else None


def parts(stage: Stage, *places: str) -> Iterator[Part]:
    """Everything that is built at some places and below."""
    for place in places:
        for path, node in plain_tree.targets(at(stage.settled, steps(place)), place):
            if is_node(node):
                yield Part(node, origin(stage.raw, path))


def learned(stage: Stage) -> Part | None:
    """The objective of a stage that trains."""
    return part(stage, "stage.module.objective")


def model(stage: Stage) -> Part | None:
    """The model of a stage that trains."""
    return part(stage, "stage.module.model")


def stated(node: Any, name: str, **more: Any) -> Any:
    """What the class of a node states of itself by a class attribute, or by a static method of the node's settings.

    None where it states nothing.
    """
    if not is_node(node):
        return None
    target = resolve(node["_target_"], "")
    value = getattr(target, name, None)
    if not callable(value):
        return value
    settings = {key: looked_up(each) for key, each in node.items() if key not in CONTROL}
    return None if "???" in settings.values() else value(**{**settings, **more})


def looked_up(value: Any) -> Any:
    """A setting as a static method is given it: objects for their names, columns for a data set among several."""
    if is_node(value):
        if resolve(value["_target_"], "") in lookups():
            return None if value["path"] == "???" else resolve(str(value["path"]), "")
        return stated(value, "rows_have")
    return {key: looked_up(each) for key, each in value.items()} if isinstance(value, Mapping) else value


def other(stage: Stage, *wanted: tuple[str, Suits]) -> str:
    """What to type instead, for the first of some places that has an option which suits.

    The place whose option the user has chosen comes first. In an option that holds several parts, all must suit.
    """
    swaps = Swaps(stage)
    order = sorted(wanted, key=lambda pair: not swaps.was_typed(swaps.at(pair[0])))
    remedies = (swaps.remedy(place, partial(all_suit, suits)) for place, suits in order)
    return next((remedy for remedy in remedies if remedy), "")


def all_suit(suits: Suits, option: dict[str, Any]) -> bool:
    """Whether all that an option builds suits."""
    nodes = [node for node in (option, *by_name(option)) if is_node(node)]
    return bool(nodes) and all(map(suits, nodes))
