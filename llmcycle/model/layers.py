"""Names of layers and parameters that a recipe gives: those that a model has, or the ones that may have been meant."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence

import torch
from peft import PeftConfig, get_peft_model
from rapidfuzz import process
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from llmcycle.abilities import CLASSIFIER, MASKED, STEPS

from .freeze import unnamed

SETTINGS = ("target_modules", "modules_to_save", "exclude_modules")
ALL = "all-linear"  # peft's word for every linear layer
FEW = 4
AUTO = {
    MASKED: AutoModelForMaskedLM,
    CLASSIFIER: AutoModelForSequenceClassification,
    STEPS: AutoModelForTokenClassification,
}


def outline(config: PreTrainedConfig, kind: str | None, device: str = "meta") -> PreTrainedModel:
    """A model without weights, for the names and shapes of what is in it; on another device with random ones."""
    room, filler = getattr(config, "vocab_size", None), getattr(config, "pad_token_id", None)
    if isinstance(room, int) and isinstance(filler, int) and filler >= room:
        config = copy.deepcopy(config)
        config.pad_token_id = None  # its class's default, which is another vocabulary's
    with torch.device(device):
        model: PreTrainedModel = AUTO.get(str(kind), AutoModelForCausalLM).from_config(config, dtype=torch.float32)
    return model


def unfrozen(model: PreTrainedModel, peft: PeftConfig | None, frozen: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Patterns of what is frozen that name nothing: why, and a value of the setting that can be frozen.

    Args:
        model: an `outline`, which an adapter may be put on.
    """
    if peft is not None and frozen:
        try:
            with torch.device("meta"), torch.random.fork_rng(devices=[]):
                adapted: nn.Module = get_peft_model(model, peft)
        except Exception:  # it wants weights to look at: the stage will try it on those
            return
        yield from unnamed(adapted, frozen)
    else:
        yield from unnamed(model, frozen)


def unmatched(model: nn.Module, peft: PeftConfig) -> Iterator[tuple[str, str, str]]:
    """Layers that an adapter names and that the model has not (setting, why, a value): peft passes over all but one."""
    modules = [name for name, _ in model.named_modules()]
    there = sorted({name.rpartition(".")[2] for name, layer in model.named_modules() if hasattr(layer, "weight")})
    for setting in SETTINGS:
        wanted = getattr(peft, setting, None)
        if isinstance(wanted, str) and wanted != ALL and (reason := no_pattern(wanted, modules, there)):
            yield setting, reason, f"[{wanted}]" if wanted in there else usual(setting, wanted, there)
        for layer in sorted(wanted) if isinstance(wanted, list | set | tuple) else ():
            if not any(name == layer or name.endswith(f".{layer}") for name in modules):
                reason = f"no layer is called {layer}; the model has {', '.join(there)}"
                yield setting, reason, usual(setting, layer, there)


def no_pattern(pattern: str, modules: Sequence[str], there: Sequence[str]) -> str:
    """Why a text, which peft takes for a regular expression on whole names, names no layer; "" where it names some."""
    try:
        matches = any(re.fullmatch(pattern, name) for name in modules)
    except re.error as error:
        return f"{pattern!r} is no regular expression ({error}); the model has {', '.join(there)}"
    return "" if matches else f"{pattern!r} matches no layer's whole name; the model has {', '.join(there)}"


def usual(setting: str, layer: str, there: Sequence[str]) -> str:
    """What to name instead: the nearest layer there is, else what the setting is without anything named."""
    near = process.extractOne(layer, there, score_cutoff=60)
    return f"[{near[0]}]" if near else ALL if setting == SETTINGS[0] else "null"
