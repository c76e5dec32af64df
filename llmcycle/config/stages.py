"""Read a composed recipe: which stages it has, and what each of them is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from .schema import PARTS, SCALARS

RESUME = ("auto", "never")  # the values of `resume` that change no result; any other is a checkpoint's folder
REFERENCE = re.compile(r"\$\{([^${}]+)\}")


def names(root: DictConfig) -> list[str]:
    """Stages in the order in which they run; a recipe that is no lifecycle is a lifecycle of one, named `""`."""
    return list(root.lifecycle) if root.get("lifecycle") else [""]


def node(root: DictConfig, name: str) -> DictConfig:
    """The mapping of one stage: the root itself for a recipe that runs alone."""
    found = root[name] if name else root
    assert isinstance(found, DictConfig)
    return found


def raw(config: DictConfig) -> dict[str, Any]:
    """A plain dict of one stage with its interpolations as written and its absent parts left out."""
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    keys = ("name", "seed", "inputs", *PARTS, *(("resume",) if plain.get("resume") not in (None, *RESUME) else ()))
    return {key: plain[key] for key in keys if plain.get(key) is not None}


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every (dotted path, string) of a plain container."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value


def references(value: Any) -> Iterator[tuple[str, ...]]:
    """Keys of the stage that relative interpolations in `value` point to: `${..inputs.model}` gives (inputs, model)."""
    for _, text in strings(value):
        for inner in REFERENCE.findall(text):
            target = inner.split(":", 1)[1] if inner.startswith("oc.dict") else inner
            if target.startswith("."):
                yield tuple(target.lstrip(".").split("."))


def reached(stage: dict[str, Any]) -> set[tuple[str, ...]]:
    """All keys that building the stage reads, found by following references from the `stage` and `logger` nodes."""
    seen: set[tuple[str, ...]] = set()
    todo: list[Any] = [stage.get("stage"), stage.get("logger")]
    while todo:
        for reference in references(todo.pop()):
            if reference not in seen:
                seen.add(reference)
                todo.append(stage.get(reference[0]))
    return seen


def targets(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
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


def is_stage(value: Any) -> bool:
    """Whether a root key's value looks like a composed stage."""
    return isinstance(value, DictConfig) and "stage" in value and "inputs" in value


def unknown_root_keys(root: DictConfig) -> list[str]:
    """Root keys that are neither run-wide, nor a stage's or its parts, nor read by one through `${key...}`."""
    known = {"hydra", "seed", "outputs", "lifecycle", *(() if root.get("lifecycle") else (*SCALARS, *PARTS))}
    read = {
        inner.partition(".")[0] for _, text in strings(plain(root, resolve=False)) for inner in REFERENCE.findall(text)
    }
    return [str(key) for key in root if key not in known | read and not is_stage(root[key])]
