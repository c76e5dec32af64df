"""A quantiser that looks at calibration rows, and a pruner: functions of a model, a tokenizer and rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.data.chat import encode_prompt


def layers(model: PreTrainedModel) -> dict[str, nn.Linear]:
    head = model.get_output_embeddings()
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear) and m is not head}


class Calibrated:
    """Rounds each weight to `levels` steps of a scale that the size of a row's inputs decides."""

    def __init__(self, levels: int, rows: int = 8) -> None:
        self.levels, self.rows = levels, rows

    @torch.no_grad()
    def __call__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[dict[str, Any]]
    ) -> PreTrainedModel:
        seen: dict[str, Tensor] = {}
        hooks = [
            layer.register_forward_hook(
                lambda _m, inputs, _out, name=name: seen.__setitem__(
                    name, torch.maximum(seen.get(name, torch.zeros(())), inputs[0].abs().flatten(0, -2).max(0).values)
                )
            )
            for name, layer in layers(model).items()
        ]
        for row in rows[: self.rows]:
            model(input_ids=torch.tensor([encode_prompt(tokenizer, row["prompt"])]))
        for hook in hooks:
            hook.remove()
        for name, layer in layers(model).items():
            weight = layer.weight * seen[name].clamp(min=1e-6).sqrt()
            step = weight.abs().max(1, keepdim=True).values / self.levels
            layer.weight.copy_((weight / step).round() * step / seen[name].clamp(min=1e-6).sqrt())
        return model


class Magnitude:
    """Sets the smallest share of each layer's weights to zero."""

    def __init__(self, share: float) -> None:
        self.share = share

    @torch.no_grad()
    def __call__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[dict[str, Any]]
    ) -> PreTrainedModel:
        for layer in layers(model).values():
            threshold = layer.weight.abs().flatten().kthvalue(int(self.share * layer.weight.numel())).values
            layer.weight.mul_(layer.weight.abs() > threshold)
        return model
