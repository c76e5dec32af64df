"""The way to a model that a stage used and left as it was: `base.json` with its path and digest, and the tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from transformers import PreTrainedTokenizerBase

from llmcycle.handoff.formats.format import Format, OpenedModel, open_model
from llmcycle.handoff.observe import Model
from llmcycle.model import digest
from llmcycle.model.base import Base


@dataclass(frozen=True)
class Pointer(Format):
    """No weights; they stay where they are.

    Args:
        source: the model's folder or its name on the Hub.
    """

    new: ClassVar[bool] = False
    source: str

    def tolerance(self, _: torch.dtype, /) -> float:
        return 0.0

    def write(self, model: Model, tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
        Base.of(Base.locate(self.source), model.dtype, digest(model)).write(out)
        tokenizer.save_pretrained(out)

    def open(self, folder: Path, device: torch.device) -> OpenedModel:
        """In the dtype in which it was used: only in that one does the digest hold."""
        return open_model(folder, device, Base.read(folder).dtype)
