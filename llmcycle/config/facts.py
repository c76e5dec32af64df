"""Facts of a method, in its own YAML file under `_method_`: what must be known of it before anything of it is built.

The key is reserved: it is taken off before its part is built. It is no part of an id either, because a fact changes a
result only through what a recipe makes of it, such as the learning rate `${rate:3.0e-3}`, and that is in the id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from omegaconf import DictConfig

from .errors import ConfigError, choose

KEY = "_method_"


@dataclass(frozen=True)
class Facts:
    """What a PEFT method says of itself. An option that says nothing of a fact has the default.

    Args:
        learning_rate: times that of LoRA, so that one sweep over methods is fair; those of the shipped options were
            measured on the synthetic shop with `recipes/finetune.yaml`, in steps of about 3.
        merges: whether what it has learnt can become part of the weights. Virtual tokens are no weights, and what
            depends on the input or on the task is no constant that could be added to them.
        moves_base: whether it begins by taking its start out of the weights below it, so that without the adapter
            they are no longer the model that was given.
        needs_data: whether it starts from what labelled batches do to the model.
    """

    learning_rate: float = 1.0
    merges: bool = True
    moves_base: bool = False
    needs_data: bool = False


def facts(part: Mapping[str, Any] | None) -> Facts:
    """Those of a part, plain or composed; names that are no facts are left to `faults`."""
    written = (part or {}).get(KEY) or {}
    return Facts(**{fact.name: written[fact.name] for fact in fields(Facts) if fact.name in written})


def taken_off(value: object) -> Any:
    """A plain value without the reserved key, at any depth: a part is also seen inside what refers to it."""
    if isinstance(value, dict):
        return {key: taken_off(item) for key, item in value.items() if key != KEY}
    return [taken_off(item) for item in value] if isinstance(value, list) else value


def faults(part: Mapping[str, Any], key: str) -> Iterator[ConfigError]:
    """What is wrong with the facts of a part that stands under `key`: a name that is none, or a value's type."""
    known: dict[str, Any] = {fact.name: fact.default for fact in fields(Facts)}
    for name, value in (part.get(KEY) or {}).items():
        here = f"{key}.{KEY}.{name}"
        if name not in known:
            yield ConfigError(here, "this is no fact of a method that anything reads", choose(name, known))
        elif isinstance(known[name], bool) != isinstance(value, bool) or not isinstance(value, bool | int | float):
            kind = "true or false" if isinstance(known[name], bool) else "a number"
            yield ConfigError(here, f"{kind} is needed, not {value!r}", f"{here}={str(known[name]).lower()}")


def rate(lora: float, *, _parent_: DictConfig) -> float:
    """Resolver of `${rate:3.0e-3}`: the learning rate for the stage's method, where LoRA's would be `lora`."""
    stage = _parent_._get_parent()
    peft = stage.get("peft") if isinstance(stage, DictConfig) else None
    return float(lora) * facts(peft).learning_rate
