"""Methods that are peft's LoRA trained in another way, and what other methods need that peft leaves to its caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from peft import CPTConfig, LoraConfig, PeftModel
from peft.tuners.beft.layer import BeftLayer
from peft.tuners.multitask_prompt_tuning import MultitaskPromptEmbedding
from peft.tuners.poly.layer import PolyLayer
from torch import Tensor, nn

from llmcycle.quantities import Positive


@dataclass
class LoraPlusConfig(LoraConfig):
    """LoRA+ (arXiv:2402.12354): B learns `lr_ratio` times as fast as A, whatever the optimiser and the schedule.

    Args:
        lr_ratio: lambda of section 4; the paper finds 16 good.
    """

    lr_ratio: Positive = 16.0

    def to_dict(self) -> dict[str, Any]:
        """What is saved is a LoRA, which any reader of peft's can load."""
        return {name: value for name, value in super().to_dict().items() if name != "lr_ratio"}


@dataclass
class LoraFAConfig(LoraConfig):
    """LoRA-FA (arXiv:2308.03303): A stays at its random start, so that no activation is kept for it."""


def freeze_method(model: PeftModel) -> None:
    """Freeze what the method itself leaves as it starts."""
    if isinstance(model.active_peft_config, LoraFAConfig):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(parameter.requires_grad and "lora_A" not in name)


def refuse_unfit(model: PeftModel) -> None:
    """Raise ValueError where peft would train something that the architecture cannot hold once it is merged."""
    for name, module in model.named_modules():
        if isinstance(module, BeftLayer) and module.get_base_layer().bias is None:
            raise ValueError(f"it trains biases, and {name.rpartition('.')[2]} has none")


def lr_ratios(model: nn.Module) -> dict[int, float]:
    """By the `id` of a parameter: how many times the optimiser's learning rate it takes, where that is not once."""
    return {
        id(parameter): adapted.active_peft_config.lr_ratio
        for adapted in model.modules()
        if isinstance(adapted, PeftModel) and isinstance(adapted.active_peft_config, LoraPlusConfig)
        for name, parameter in adapted.named_parameters()
        if "lora_B" in name or "lora_embedding_B" in name
    }


def complete_inputs(model: PeftModel) -> None:
    """Fill in what a method asks of every batch and what has one value here: the only task, tokens of one kind."""
    for module in model.modules():
        if isinstance(module, PolyLayer):
            module.register_forward_pre_hook(_only_task, with_kwargs=True)
        elif isinstance(module, MultitaskPromptEmbedding):
            module.register_forward_pre_hook(_only_row)
    if isinstance(model.active_peft_config, CPTConfig):
        model.register_forward_pre_hook(_answer_tokens, with_kwargs=True)


def _only_task(_: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    if kwargs.get("task_ids") is None:
        kwargs["task_ids"] = torch.zeros(len(args[0]), dtype=torch.long, device=args[0].device)
    return args, kwargs


def _only_row(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Any, Any]:
    return args[0], torch.zeros(len(args[0]), dtype=torch.long, device=args[0].device)


def _answer_tokens(model: PeftModel, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """CPT counts a token as part of the answer where its type, after the prompt's types, is a multiple of 4."""
    highest = max(model.active_peft_config.cpt_tokens_type_mask)
    ids = kwargs.get("input_ids")
    if ids is not None:
        kwargs["input_type_mask"] = torch.full(ids.shape, -highest % 4 or 4, device=ids.device)
    return args, kwargs
