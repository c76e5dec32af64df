"""Parameter-efficient adapters: put one on a model, and know whether it can be merged into it again."""

from __future__ import annotations

from peft import PeftConfig, PeftModel, PeftType, get_peft_model
from peft.tuners.tuners_utils import BaseTuner
from torch import nn
from transformers import PreTrainedModel


def adapt(model: PreTrainedModel, peft: PeftConfig | None) -> PreTrainedModel | PeftModel:
    """The model with a fresh, trainable adapter; the model itself, all of it trainable, when `peft` is None.

    Raises:
        ValueError: the model already carries an adapter (one that could not be merged by the stage before).
    """
    if isinstance(model, PeftModel):
        kind = model.active_peft_config.peft_type.value
        raise ValueError(
            f"inputs.model: it carries a {kind} adapter that cannot be merged, so it cannot be trained further; "
            "give the model below it, or repeat the stage before with a method that merges, such as peft=lora"
        )
    if peft is None:
        return model.requires_grad_(True)
    return get_peft_model(model, peft)


def base_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that the model has without its adapter; peft puts the adapter's name into those that it adds."""
    if not isinstance(model, PeftModel):
        return list(model.parameters())
    names = set(model.peft_config)
    return [p for name, p in model.named_parameters() if names.isdisjoint(name.split("."))]


def may_be_padded(model: nn.Module) -> bool:
    """Whether padding on the left leaves a text's continuation as it is.

    Not where peft puts virtual tokens before the padding: it drops the position ids, so text and prompt move apart.
    """
    config = model.active_peft_config if isinstance(model, PeftModel) else None
    return config is None or not config.is_prompt_learning or config.peft_type == PeftType.PREFIX_TUNING


def mergeable(model: nn.Module) -> bool:
    """Whether the adapter can become part of the weights: not for prompts, nor onto quantised weights."""
    if not isinstance(model, PeftModel) or not isinstance(model.base_model, BaseTuner):
        return False
    quantized = getattr(model.get_base_model(), "hf_quantizer", None) is not None
    return not quantized and hasattr(model.base_model, "merge_and_unload")
