"""Whole models as transformers writes them: safetensors and JSON. An adapter is merged into the weights first."""

from __future__ import annotations

import json
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
from llmcycle.quantities import Dtype

LENGTH, METADATA = 8, "__metadata__"  # bytes that hold the header's length, and the name of its texts


@dataclass(frozen=True)
class Safetensors(Format):
    """Plain or quantised weights. An adapter that can't be merged (prompt tuning) is kept beside its base.

    Args:
        dtype: of plain weights; None for the model's own.
        allowed: how far logits may move, as a share of the largest; 0 for bit by bit; None for what the dtype needs.
    """

    dtype: Dtype | None = None
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
        for path in out.glob("*.safetensors"):
            sort_metadata(path)
        tokenizer.save_pretrained(out)

    def open(self, folder: Path, device: torch.device) -> OpenedModel:
        return open_model(folder, device)


def sort_metadata(path: Path) -> None:
    """Put the texts in a file's header in the order of their names: its writer hashes them in another order each time.

    The header keeps its length: https://huggingface.co/docs/safetensors/index#format
    """
    with path.open("r+b") as file:
        written = file.read(size := int.from_bytes(file.read(LENGTH), "little"))
        header = json.loads(written)
        if METADATA in header:
            header[METADATA] = dict(sorted(header[METADATA].items()))
            text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
            if len(text) <= size:  # an escape that is written longer than it was read is left as it is
                file.seek(LENGTH)
                file.write(text.ljust(size))
