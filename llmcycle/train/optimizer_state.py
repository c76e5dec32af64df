"""Optimizer states by the names of their parameters, so that any number of processes can take them over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

State = dict[str, Any]  # torch's: {"state": {parameter: {...}}, "param_groups": [{"params": [...], ...}]}


def by_name(state: State, names: Sequence[str]) -> State:
    """`names[i]` in place of every index i."""
    return _renamed(state, lambda index: names[index])


def by_index(state: State, names: Sequence[str]) -> State:
    """The place in `names` in place of every name: what `Optimizer.load_state_dict` takes.

    That goes by places in the groups, not by indices, so a group's parameters are put into the order of `names`.
    """
    places = {name: index for index, name in enumerate(names)}
    indexed = _renamed(state, places.__getitem__)
    return {**indexed, "param_groups": [{**g, "params": sorted(g["params"])} for g in indexed["param_groups"]]}


def _renamed(state: State, rename: Callable[[Any], Any]) -> State:
    groups = [{**group, "params": [rename(key) for key in group["params"]]} for group in state["param_groups"]]
    return {"state": {rename(key): values for key, values in state["state"].items()}, "param_groups": groups}
