"""A composed recipe as plain mappings, lists and texts: what stands where, and where its interpolations lead."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

REFERENCE = re.compile(r"\$\{([^${}]+)\}")
Path = tuple[str, ...]  # of keys, from a stage or the root on


def reached(tree: Mapping[str, Any], starts: Iterable[Path], stages_within: Collection[str] = ()) -> set[Path]:
    """The paths in a plain mapping that references lead to, from the parts in `starts` and from every part so found.

    Args:
        tree: a stage, or a whole composition.
        starts: the parts that are read in any case.
        stages_within: keys of `tree` that are stages, whose parts lie one level deeper.
    """
    paths: set[Path] = set()
    visited: set[Path] = set()
    waiting = list(starts)
    while waiting:
        path = waiting.pop()
        part = path[: 2 if path[0] in stages_within else 1]
        if part not in visited:
            visited.add(part)
            new = set(references(at(tree, part), part))
            paths |= new
            waiting += new
    return paths


def at(tree: object, path: Path) -> Any:
    """What stands at a path in a plain mapping; None for nothing."""
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def references(value: object, path: Path = ()) -> Iterator[Path]:
    """Where the interpolations in `value`, which stands at `path`, lead: in the stage `("module",)` has, `${..peft.r}`
    leads to (peft, r). One that leads out of the mapping that `path` begins in is left out."""
    for place, text in leaves(value, path):
        for pointer in pointers(text):
            name = pointer.lstrip(".")
            up = len(pointer) - len(name)
            keys = tuple(key for key in re.split(r"[.\[\]]+", name) if key)
            if keys and up <= len(place):
                yield (place[: len(place) - up] if up else ()) + keys


def pointers(text: str) -> Iterator[str]:
    """The keys that the interpolations in a text refer to, with their leading dots; innermost ones first."""
    while match := REFERENCE.search(text):
        resolver, colon, arguments = match[1].partition(":")
        if not colon or resolver in ("oc.select", "oc.dict.keys", "oc.dict.values"):
            yield (arguments if colon else resolver).partition(",")[0].strip()
        elif resolver == "input":
            yield f"inputs.{arguments.strip()}"
        text = text[: match.start()] + text[match.end() :]


def leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every (path, string) of a plain container."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, str(index)))
    elif isinstance(value, str):
        yield path, value


def strings(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """The same with dotted paths that begin with `path`."""
    for place, text in leaves(value, (path,) if path else ()):
        yield ".".join(place), text


def targets(value: object, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every (dotted path, mapping) that holds a `_target_`, at any depth and inside lists."""
    if isinstance(value, dict):
        if "_target_" in value:
            yield path, value
        for key, item in value.items():
            yield from targets(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from targets(item, f"{path}[{index}]")


def plain(config: DictConfig | ListConfig, resolve: bool = True) -> Any:
    """A plain container of a node, missing values kept as "???"."""
    return OmegaConf.to_container(config, resolve=resolve, throw_on_missing=False)
