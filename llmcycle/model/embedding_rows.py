"""Rows of single tokens that an adapter trains beside its layers: those of markers that its base has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from peft import PeftConfig, PeftType
from peft.utils.other import TrainableTokensWrapper
from torch import Tensor, nn
from transformers import PreTrainedModel

from .quantised import mergeable_base

SETTING = "trainable_token_indices"  # peft reads it from every method's settings; only some of them have a field for it
# They put nothing beside themselves, or are kept as adapters whose settings have no field for rows.
OTHERWISE = (
    *(PeftType.ADAPTION_PROMPT, PeftType.TRAINABLE_TOKENS, PeftType.XLORA),
    *(PeftType.LILY, PeftType.POLY, PeftType.SHADOW),
)


def choose_rows(model: PreTrainedModel, peft: PeftConfig, tokens: Sequence[int]) -> None:
    """Set which rows are trained, wherever the model has them, and none that the method trains anyway.

    An output layer with weights of its own has rows of the same tokens. A list that a recipe has set itself stands in
    the place of `tokens`; a mapping from layers is left as it is.
    """
    own = getattr(peft, SETTING, None)
    chosen = own if isinstance(own, list) else list(tokens)
    if isinstance(own, dict) or not chosen or not trains_rows(model, peft):
        return
    taken = [*_listed(peft, "target_modules"), *_listed(peft, "modules_to_save")]
    free = [name for name in _places(model) if not any(name == layer or name.endswith(f".{layer}") for layer in taken)]
    setattr(peft, SETTING, dict.fromkeys(free, chosen) or None)


def trains_rows(model: PreTrainedModel, peft: PeftConfig) -> bool:
    """Whether the method can, on this model.

    Not where it works on the input alone, where the base is to stay as it is, or where the adapter is kept apart and
    its settings have no place for the rows.
    """
    invoked = getattr(peft, "alora_invocation_tokens", None)
    eva = getattr(peft, "init_lora_weights", None) == "eva"  # it takes every layer with an adapter for a linear one
    beside = not (peft.is_prompt_learning or peft.peft_type in OTHERWISE or invoked or eva)
    return beside and (_has_field(peft) or mergeable_base(model))


def keeps_rows(peft: PeftConfig) -> bool:
    """Whether the settings that are written beside an adapter say which rows it holds."""
    return getattr(peft, SETTING, None) is None or _has_field(peft)


def merge_rows(model: nn.Module) -> None:
    """The trained rows become part of their layers; in place. Only LoRA's own merge would do it by itself."""
    for name, module in list(model.named_modules()):
        if isinstance(module, TrainableTokensWrapper):
            whole = module.unload_and_optionally_merge_module(merge=True, safe_merge=True, adapter_names=None)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, whole)


def _has_field(peft: PeftConfig) -> bool:
    return SETTING in {field.name for field in fields(peft)}


def _places(model: PreTrainedModel) -> list[str]:
    """Names of the layers with a row for each token, in plain weights."""
    tied = model.config.get_text_config().tie_word_embeddings
    parts = [model.get_input_embeddings(), None if tied else model.get_output_embeddings()]
    plain = [part for part in parts if part is not None and _is_plain(part)]
    return [name for name, module in model.named_modules() if any(module is part for part in plain)]


def _is_plain(layer: nn.Module) -> bool:
    weight = layer.weight
    return isinstance(weight, Tensor) and weight.is_floating_point() and type(weight.data) is Tensor


def _listed(peft: PeftConfig, setting: str) -> list[str]:
    """Layers that are named in order; a pattern or a word for many names none."""
    layers = getattr(peft, setting, None)
    return sorted(layers) if isinstance(layers, list | set | tuple) else []
