"""What a model holds beside its code: its settings and the numbers of every tensor, to be compared with what a folder
gives back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from peft import PeftModel, get_peft_model_state_dict
from torch import Tensor
from transformers import PreTrainedModel

from llmcycle.model.adapters import base_parameters
from llmcycle.model.digest import fingerprints, named_tensors

from .observe import Model, below

# What saving may change: where a model lies, by what it was written, and the dtype, which each tensor tells itself.
NEUTRAL = {"_name_or_path", "architectures", "transformers_version", "dtype", "_from_model_config"}


@dataclass(frozen=True)
class Contents:
    """All of a model but its code.

    Args:
        config, generation: its settings by name; those of generation are empty where it does not generate.
        tensors: of each parameter and buffer, and of what is saved of an adapter, its dtype and shape and its sha256.
    """

    config: dict[str, Any]
    generation: dict[str, Any]
    tensors: dict[str, tuple[str, str]]


def contents(model: Model) -> Contents:
    """What `model` holds now."""
    base = below(model)
    generation = base.generation_config.to_dict() if base.can_generate() else {}
    return Contents(_settings(base.config.to_dict()), _settings(generation), fingerprints(_tensors(model, base)))


def compare_settings(before: Contents, after: Contents) -> None:
    """Raise ValueError when config.json or generation_config.json gives back other settings: names the first one."""
    for file, was, now in (
        ("config.json", before.config, after.config),
        ("generation_config.json", before.generation, after.generation),
    ):
        for name in sorted(was.keys() | now.keys()):
            if was.get(name) != now.get(name):
                raise ValueError(
                    f"hand-off: {file} says {name}={now.get(name)!r}, and the model had {was.get(name)!r}: what was "
                    "written is another model, so no other stage gets it"
                )


def compare_shapes(before: Contents, after: Contents) -> None:
    """Raise ValueError when a tensor is missing or has another dtype or shape: names the first one."""
    for name, (kind, _) in before.tensors.items():
        now = after.tensors.get(name, ("nothing", ""))[0]
        if now != kind:
            raise ValueError(f"hand-off: {name} was {kind} and is {now} when opened again: it was not saved as it was")


def compare_numbers(before: Contents, after: Contents, when: str) -> None:
    """Raise ValueError when a tensor that both have in one dtype and shape holds other numbers: names the first one."""
    for name, (kind, sha256) in before.tensors.items():
        if after.tensors.get(name) not in (None, (kind, sha256)) and after.tensors[name][0] == kind:
            raise ValueError(f"hand-off: {name} holds other numbers {when}")


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that writing a model leaves as they are."""
    return {name: value for name, value in values.items() if name not in NEUTRAL}


def _tensors(model: Model, base: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """The base's own, under the names that they have without an adapter, and what would be saved of the adapter.

    Without modules whose copy the adapter trained: nothing reads them any more (a reward model's random first head).
    """
    own = {id(p) for p in base_parameters(model)} | {id(b) for b in base.buffers()}
    unread = ".original_module."
    yield from ((name, t) for name, t in named_tensors(base) if id(t) in own and unread not in name)
    if isinstance(model, PeftModel):
        saved = get_peft_model_state_dict(model, save_embedding_layers=False)
        yield from ((f"adapter.{name}", tensor) for name, tensor in saved.items())
