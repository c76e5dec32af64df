"""Whole models as transformers writes them: safetensors and JSON. An adapter is merged into the weights first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from llmcycle.handoff.formats.adapter import write_adapter
from llmcycle.handoff.formats.format import Format, OpenedModel, open_model
from llmcycle.handoff.merge import merge
from llmcycle.handoff.observe import Model


@dataclass(frozen=True)
class Safetensors(Format):
    """Plain or quantised weights. An adapter that can't be merged (prompt tuning) is kept beside its base.

    Args:
        dtype: of plain weights; None for the model's own.
        allowed: how far logits may move, as a share of the largest; 0 for bit by bit; None for what the dtype needs.
    """

    dtype: str | None = None
    allowed: float | None = None

    @property
    def merge(self) -> Callable[[Model], Model] | None:
        return merge

    def target_dtype(self, own: torch.dtype) -> torch.dtype:
        return own if self.dtype is None else getattr(torch, self.dtype)

    def tolerance(self, dtype: torch.dtype, /) -> float:
        return super().tolerance(dtype) if self.allowed is None else self.allowed

    def write(self, model: Model, tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
        if isinstance(model, PeftModel):
            write_adapter(model, tokenizer, out)
            return
        if model.can_generate():
            model.generation_config.save_pretrained(out)
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)

    def open(self, folder: Path, device: torch.device) -> OpenedModel:
        return open_model(folder, device)
