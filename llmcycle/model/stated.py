"""What a model states of itself: its settings and every number of it, to be found again in what was saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from peft import PeftModel, get_peft_model_state_dict
from torch import Tensor
from transformers import PreTrainedModel

from .adapters import base_parameters
from .digest import fingerprints, named_tensors

# What saving may change: where a model lies, by what it was written, and the dtype, which each tensor tells itself.
NEUTRAL = {"_name_or_path", "architectures", "transformers_version", "dtype", "_from_model_config"}


@dataclass(frozen=True)
class Stated:
    """All of a model but its code.

    Args:
        config, generation: its settings by name; those of generation are empty where it does not generate.
        tensors: of each parameter and buffer, and of what is saved of an adapter, its dtype and shape and its sha256.
    """

    config: dict[str, Any]
    generation: dict[str, Any]
    tensors: dict[str, tuple[str, str]]


def state(model: PreTrainedModel | PeftModel) -> Stated:
    """What `model` states of itself now."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    generation = base.generation_config.to_dict() if base.can_generate() else {}
    return Stated(settings(base.config.to_dict()), settings(generation), fingerprints(_tensors(model, base)))


def settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that the hand-off of a model leaves as they are."""
    return {name: value for name, value in values.items() if name not in NEUTRAL}


def verify_settings(was: Stated, now: Stated) -> None:
    """Raise ValueError when config.json or generation_config.json gives back other settings: names the first one."""
    for file, before, after in (
        ("config.json", was.config, now.config),
        ("generation_config.json", was.generation, now.generation),
    ):
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                raise ValueError(
                    f"hand-off: {file} says {name}={after.get(name)!r}, and the trained model had "
                    f"{before.get(name)!r}: what was saved is another model, so it is not handed on"
                )


def verify_kinds(was: Stated, now: Stated) -> None:
    """Raise ValueError when a tensor is missing or has another dtype or shape: names the first one."""
    for name, (kind, _) in was.tensors.items():
        found = now.tensors.get(name, ("nothing", ""))[0]
        if found != kind:
            raise ValueError(f"hand-off: {name} was {kind} and is {found} when reloaded: it was not saved as it was")


def verify_numbers(was: Stated, now: Stated, when: str) -> None:
    """Raise ValueError when a tensor that both have in one dtype and shape holds other numbers: names the first one."""
    for name, (kind, sha256) in was.tensors.items():
        if now.tensors.get(name) not in (None, (kind, sha256)) and now.tensors[name][0] == kind:
            raise ValueError(f"hand-off: {name} holds other numbers {when}")


def _tensors(model: PreTrainedModel | PeftModel, base: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """The base's own, under the names that they have without an adapter, and what would be saved of the adapter."""
    own = {id(p) for p in base_parameters(model)} | {id(b) for b in base.buffers()}
    yield from ((name, tensor) for name, tensor in named_tensors(base) if id(tensor) in own)
    if isinstance(model, PeftModel):
        saved = get_peft_model_state_dict(model, save_embedding_layers=False)
        yield from ((f"adapter.{name}", tensor) for name, tensor in saved.items())
