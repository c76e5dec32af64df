"""Names of layers that a recipe gives, against the model that they are meant for, where its configuration is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmcycle.printable import in_double_quotes

from . import models
from .allow import resolve
from .errors import ConfigError
from .models import BASE_FILE, PRETRAINED
from .nested import is_node
from .parts import Part, learned, model, part
from .signature import CONTROL
from .stages import Stage
from .trial import Untried, build, is_tried

ROOM = "llmcycle.model.layers"
TRIAL = "llmcycle.model.trial"
ALONE = {"policy", "reference"}  # roles that are one model, whose parameters are named as they are in it


def check_layers(stage: Stage) -> Iterator[ConfigError]:
    """An adapter's layers, and what is frozen, are there: by the outline of the model, which holds no weights."""
    trained, module, adapter = model(stage), part(stage, "stage.module"), part(stage, "stage.module.peft")
    if trained is None or module is None or not (adapter or module.node.get("frozen")):
        return
    config, peft = configuration(stage, trained), settings(adapter)
    if config is None or (adapter and peft is None):
        return
    try:
        outline = resolve(f"{ROOM}.outline", "")(config, models.kind_of(stage, trained))
    except Exception:  # an architecture that is built in another way: the stage says it
        return
    faults = list(unmatched(stage, outline, adapter, peft)) if adapter else []
    yield from faults
    if not faults and of_one_model(stage):
        for reason, value in resolve(f"{ROOM}.unfrozen", "")(outline, peft, module.node.get("frozen") or []):
            key = stage.dot(module.place, "frozen")
            yield ConfigError(key, reason, in_double_quotes(f"{key}={value}"))


def unmatched(stage: Stage, outline: Any, adapter: Part, peft: Any) -> Iterator[ConfigError]:
    """An adapter's layers that are not there, or that its method can't be put on."""
    named = False
    for setting, reason, value in resolve(f"{ROOM}.unmatched", "")(outline, peft):
        named, key = True, stage.dot(adapter.place, setting)
        yield ConfigError(key, reason, in_double_quotes(f"{key}={value}"))
    if not named and (reason := misfit(stage, outline.config, peft)):
        yield ConfigError(stage.dot("peft"), f"it does not work on {reason}", instead(stage))


def misfit(stage: Stage, config: Any, peft: Any) -> str:
    """On which model a method does not work, and why: on the stage's own, or on that once it is rounded."""
    kind, trained = models.trained_kind(stage), model(stage)
    if reason := resolve(f"{TRIAL}.misfit", "")(config, kind, peft):
        return f"this model: {reason}"
    rounding = trained.node.get("quantization_config") if trained else None
    if not (rounding and is_tried(rounding)):
        return ""
    reason = resolve(f"{TRIAL}.misfit_rounded", "")(config, kind, peft, build(rounding))
    return reason and f"rounded weights: {reason}"


def instead(stage: Stage) -> str:
    """The method that works wherever one does; none at all where that was chosen and does not."""
    swap = stage.swap("peft")
    chosen = stage.root.hydra.runtime.choices.get(swap) if "hydra" in stage.root else None
    return f"{swap}={'none' if chosen == 'lora' else 'lora'}"


def of_one_model(stage: Stage) -> bool:
    """Whether what is trained has the names of its own model: of several, names begin with the role."""
    objective = learned(stage)
    return objective is not None and set(getattr(objective.target, "roles", ())) <= ALONE


def settings(adapter: Part | None) -> Any:
    """The adapter's configuration, built; None where there is none, or where it needs other parts."""
    if adapter is None or not is_tried(adapter.node):
        return None
    substitute = getattr(adapter.target, "for_trial", None)
    try:
        if substitute:  # of a method that is given a tokenizer
            named = {name: item for name, item in adapter.node.items() if name not in CONTROL and not is_node(item)}
            return substitute(**named)
        return build(adapter.node)
    except Untried:
        return None


def configuration(stage: Stage, trained: Part) -> Any:
    """The configuration of the model that a part gives; None where it is not here, or can't be read."""
    config, source = trained.node.get("config"), trained.node.get(PRETRAINED)
    if isinstance(config, dict):
        return build(config) if is_tried(config) else None
    if not isinstance(source, str):
        return None
    if (before := models.from_sibling(stage, source)) is not None:
        own = model(before)
        return configuration(before, own) if own else None
    return read(models.folder(stage, source))


def read(folder: Path) -> Any:
    """The configuration in a folder, or in the one that it points to."""
    if (folder / "config.json").is_file():
        try:
            return resolve("transformers.AutoConfig", "").from_pretrained(str(folder))
        except Exception:  # of a model that this version does not know: loading it says it
            return None
    pointer = folder / BASE_FILE
    path = models.read(pointer).get("path") if pointer.is_file() else None
    return read(Path(str(path))) if path else None
