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
from .models import PRETRAINED
from .parts import stated
from .stages import Stage, sibling

WRITTEN_OUT = "load_in_4bit"  # weights that are made plain before a merge (llmcycle/model/quantised.py); no others are
# Stages that read an input as plain weights, by their targets; those that train refuse an adapter too (`module`).
PLAIN_WEIGHTS = {
    "llmcycle.compress.compress": "makes plain weights smaller",
    "llmcycle.finetune.combine": "adds plain weights up",
}
NOWHERE = "a model with random weights lies in no folder"
NOTHING = "it keeps an adapter beside its base, and this stage has none: its result is a whole model"


class Adapter(NamedTuple):
    """What a stage is given beside a base model.

    Args:
        kind: the method's name.
        remedy: what to type to be given none.
        merges: whether a stage that writes whole weights makes it part of them.
    """

    kind: str
    remedy: str
    merges: bool = True


def check_adapters(stage: Stage) -> Iterator[ConfigError]:
    """No stage is given an adapter that it can't take, or is to keep one where there is none."""
    for key in stage.inputs:
        reason, adapter = need(stage, key), adapter_of(stage, key)
        if reason and adapter:
            what = f"it brings a {adapter.kind} adapter that is not part of the weights, and this stage {reason}"
            yield ConfigError(stage.dot("inputs", key), what, adapter.remedy)
    if keeps(stage) and (reason := nothing_to_keep(stage)):
        yield ConfigError(stage.dot("handoff"), reason, f"{stage.swap('handoff')}=safetensors")
    elif (peft := stage.raw.get("peft") or {}) and is_new(stage) and stays(peft, {}):
        reason = f"{method(stage, peft)} can't be merged and is kept beside its base, and {NOWHERE}"
        yield ConfigError(stage.dot("peft"), reason, f"{stage.swap('peft')}=lora")


def nothing_to_keep(stage: Stage) -> str:
    """Why a stage has no adapter that could stand beside its base; "" where it has, or where that is not known."""
    peft = stage.raw.get("peft") or {}
    if stage.raw.get("module"):
        if "_target_" not in peft:
            return NOTHING
        if is_new(stage):
            return f"it keeps an adapter beside its base, and {NOWHERE}"
        moved = f"{method(stage, peft)} takes its start out of the base's weights, beside which it would mean nothing"
        return moved if facts(peft).moves_base else ""
    if str(stage.raw["stage"].get("_target_")) in PLAIN_WEIGHTS:
        return NOTHING
    known = [sibling(written) is not None or in_store(stage, key).is_dir() for key, written in stage.inputs.items()]
    none = all(known) and not any(adapter_of(stage, key) for key in stage.inputs)
    return "no input brings an adapter that could be kept" if none else ""


def is_new(stage: Stage) -> bool:
    """Whether the model that a stage trains is built from a configuration."""
    model = stage.raw.get("model") or {}
    return bool(stage.raw.get("module")) and "config" in model and PRETRAINED not in model


def need(stage: Stage, key: str) -> str:
    """Why a stage can't take an adapter for this input; "" where it can, or where it is code that is not ours."""
    readers = stage.readers("inputs", key)
    if "model" in readers and stage.raw.get("module"):
        return "trains all of its model, or an adapter of its own"
    return PLAIN_WEIGHTS.get(str(stage.raw["stage"].get("_target_")), "") if "stage" in readers else ""


def adapter_of(stage: Stage, key: str) -> Adapter | None:
    """The adapter that comes with an input: from a sibling that will hand one on, or in a folder that holds one."""
    if (other := sibling(stage.inputs[key])) is not None:
        return handed_on(stage.beside(other))
    return in_folder(in_store(stage, key))


def in_store(stage: Stage, key: str) -> Path:
    """Where an input that is no sibling's lies: the folder of an artifact, or the path as it is written."""
    value = str(stage.node.inputs[key])
    artifact = identity.store(stage.root).find(value)
    return artifact.folder if artifact else Path(value).expanduser()


def handed_on(stage: Stage) -> Adapter | None:
    """The adapter that a stage will leave; one that trains nothing passes on what it is given, or merges it."""
    if stage.raw.get("module"):
        return trained(stage)
    adapters = (adapter_of(stage, key) for key in stage.inputs if not need(stage, key))
    adapter = next((adapter for adapter in adapters if adapter), None)
    merged = adapter is not None and adapter.merges and bool(stage.raw.get("handoff")) and not keeps(stage)
    return None if merged else adapter


def trained(stage: Stage) -> Adapter | None:
    """The adapter that a stage which trains will leave beside its base: it can't be merged, or is to be kept."""
    peft, model = stage.raw.get("peft") or {}, stage.raw.get("model") or {}
    if "_target_" not in peft:
        return None
    remedies = {
        f"{stage.swap('peft')}=lora": not facts(peft).merges,
        f"{stage.swap('model')}=pretrained": rounded_for_good(model),
        f"{stage.swap('handoff')}=safetensors": keeps(stage),
    }
    remedy = " ".join(words for words, needed in remedies.items() if needed)
    return Adapter(method(stage, peft), f"{remedy}, so that it is merged", not stays(peft, model)) if remedy else None


def keeps(stage: Stage) -> bool:
    """Whether the stage's format writes an adapter as one, though it could be merged."""
    return bool(stated(stage.raw.get("handoff"), "keeps_adapter"))


def method(stage: Stage, peft: Mapping[str, Any]) -> str:
    """What the stage's PEFT method is called: its option, or the class where the recipe names no option."""
    choices = stage.root.hydra.runtime.choices if "hydra" in stage.root else {}
    return str(choices.get(stage.swap("peft")) or peft["_target_"].rpartition(".")[2].removesuffix("Config"))


def stays(peft: Mapping[str, Any], model: Mapping[str, Any]) -> bool:
    """Whether an adapter can't be merged; False where there is none."""
    return "_target_" in peft and (not facts(peft).merges or rounded_for_good(model))


def rounded_for_good(model: Mapping[str, Any]) -> bool:
    """Whether a model's weights are rounded in a way that nothing is merged into."""
    rounded = model.get("quantization_config") or {}
    return bool(rounded and not rounded.get(WRITTEN_OUT))


def in_folder(folder: Path) -> Adapter | None:
    """The adapter in a folder, or in the one that it points to (llmcycle/model/load.py)."""
    path, pointer = folder / "adapter_config.json", folder / "base.json"
    if path.is_file():
        kind = str(json.loads(path.read_text("utf-8")).get("peft_type", "peft"))
        return Adapter(kind, "what `llmcycle merge inputs.model=FOLDER` makes of it, or the base below it")
    if pointer.is_file() and not (folder / "config.json").exists():
        return in_folder(Path(json.loads(pointer.read_text("utf-8"))["path"]))
    return None
