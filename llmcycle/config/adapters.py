"""Adapters that stay beside their base, and the stages that need whole weights: known by the method's facts, so that
neither peft nor torch need be imported to refuse them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import identity
from .errors import ConfigError
from .facts import facts
from .stages import Stage, sibling

WRITTEN_OUT = "load_in_4bit"  # weights that are made plain before a merge (llmcycle/model/quantised.py); no others are
# Stages that read an input as plain weights, by their targets; those that train refuse an adapter too (`module`).
PLAIN_WEIGHTS = {
    "llmcycle.compress.compress": "makes plain weights smaller",
    "llmcycle.finetune.combine": "adds plain weights up",
}
KEEPS = "llmcycle.handoff.Adapter"  # `handoff=adapter`
MERGES = "llmcycle.finetune.merge"


class Adapter(NamedTuple):
    """What a stage is given beside a base model: the method's name, what to type to be given none, if it merges."""

    kind: str
    remedy: str
    merges: bool = True


def check_adapters(stage: Stage) -> Iterator[ConfigError]:
    """No stage is given an adapter that it can't take, or is to keep one that it does not have."""
    yield from check_kept(stage)
    for key in stage.inputs:
        reason, adapter = need(stage, key), given(stage, key)
        if reason and adapter:
            what = f"it brings a {adapter.kind} adapter that is not part of the weights, and this stage {reason}"
            yield ConfigError(stage.dot("inputs", key), what, adapter.remedy)


def check_kept(stage: Stage) -> Iterator[ConfigError]:
    """`handoff=adapter` has an adapter to keep, on a base that is still the one that it is kept beside."""
    peft = stage.raw.get("peft") or {}
    if not keeps(stage) or stage.raw["stage"].get("_target_") == MERGES:
        return
    if "_target_" not in peft:
        what = "it keeps an adapter beside its base, and this stage has none: its result is a whole model"
        yield ConfigError(stage.dot("handoff"), what, f"{stage.swap('handoff')}=safetensors")
    elif facts(peft).moves_base:
        what = f"{method(stage, peft)} takes its start out of the base's weights, so nothing can be kept beside them"
        yield ConfigError(stage.dot("handoff"), what, f"{stage.swap('handoff')}=safetensors")


def keeps(stage: Stage) -> bool:
    """Whether the stage writes an adapter as one."""
    return (stage.raw.get("handoff") or {}).get("_target_") == KEEPS


def need(stage: Stage, key: str) -> str:
    """Why a stage can't take an adapter for this input; "" where it can, or where it is code that is not ours."""
    readers = stage.readers("inputs", key)
    if "model" in readers and stage.raw.get("module"):
        return "trains all of its model, or an adapter of its own"
    return PLAIN_WEIGHTS.get(str(stage.raw["stage"].get("_target_")), "") if "stage" in readers else ""


def given(stage: Stage, key: str) -> Adapter | None:
    """The adapter that comes with an input: from a sibling that will hand one on, or in a folder that holds one."""
    if (other := sibling(stage.inputs[key])) is not None:
        return handed_on(stage.beside(other))
    value = str(stage.node.inputs[key])
    artifact = identity.store(stage.root).find(value)
    return in_folder(artifact.folder if artifact else Path(value).expanduser())


def handed_on(stage: Stage) -> Adapter | None:
    """The adapter that a stage will leave; one that trains nothing passes on what it is given, or merges it."""
    peft, model = stage.raw.get("peft") or {}, stage.raw.get("model") or {}
    if stage.raw.get("module"):
        if stays(peft, model):
            return Adapter(method(stage, peft), f"{stage.swap('peft')}=lora, which merges", merges=False)
        if keeps(stage) and "_target_" in peft:
            return Adapter(method(stage, peft), f"{stage.swap('handoff')}=safetensors, which merges it")
        return None
    if stage.raw["stage"].get("_target_") == MERGES and not keeps(stage):
        return next((adapter for key in stage.inputs if (adapter := given(stage, key)) and not adapter.merges), None)
    adapters = (given(stage, key) for key in stage.inputs if not need(stage, key))
    return next((adapter for adapter in adapters if adapter), None)


def method(stage: Stage, peft: Mapping[str, Any]) -> str:
    """What the stage's PEFT method is called: its option, or the class where the recipe names no option."""
    choices = stage.root.hydra.runtime.choices if "hydra" in stage.root else {}
    return str(choices.get(stage.swap("peft")) or peft["_target_"].rpartition(".")[2].removesuffix("Config"))


def stays(peft: Mapping[str, Any], model: Mapping[str, Any]) -> bool:
    """Whether a stage that trains will hand its adapter on unmerged; not where it merges, or where it trains it all."""
    rounded = model.get("quantization_config") or {}
    return "_target_" in peft and (not facts(peft).merges or bool(rounded and not rounded.get(WRITTEN_OUT)))


def in_folder(folder: Path) -> Adapter | None:
    """The adapter in a folder, or in the one that it points to (llmcycle/model/load.py)."""
    path, pointer = folder / "adapter_config.json", folder / "base.json"
    if path.is_file():
        kind = str(json.loads(path.read_text("utf-8")).get("peft_type", "peft"))
        return Adapter(kind, "what `llmcycle merge inputs.model=FOLDER` makes of it, or the base below it")
    if pointer.is_file() and not (folder / "config.json").exists():
        return in_folder(Path(json.loads(pointer.read_text("utf-8"))["path"]))
    return None
