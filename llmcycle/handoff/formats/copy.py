"""A model's folder once more, for serving: its weights as hard links where the disk allows it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from transformers import PreTrainedTokenizerBase

from llmcycle.handoff.formats.format import Format, OpenedModel, open_model
from llmcycle.handoff.formats.safetensors import Safetensors
from llmcycle.handoff.observe import Model

WEIGHTS = "*.safetensors"
SMALL_FILES = (
    *("config.json", "generation_config.json", "adapter_config.json", "base.json", "*.safetensors.index.json"),
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template*", "vocab*", "merges.txt"),
    "*.model",
)


@dataclass(frozen=True)
class Copy(Format):
    """What serving needs of a folder, bit by bit; of a model on the Hub, what transformers writes of it.

    Args:
        source: a folder, or a name on the Hub.
    """

    new: ClassVar[bool] = False
    source: str

    def tolerance(self, _: torch.dtype, /) -> float:
        return 0.0

    def write(self, model: Model, tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
        folder = Path(self.source)
        if not folder.is_dir():
            Safetensors().write(model, tokenizer, out)
            return
        for path in folder.glob(WEIGHTS):
            try:
                os.link(path, out / path.name)
            except OSError:  # another disk, or one without links
                shutil.copy2(path, out / path.name)
        for path in {path for pattern in SMALL_FILES for path in folder.glob(pattern)}:
            shutil.copy2(path, out / path.name)

    def open(self, folder: Path, device: torch.device) -> OpenedModel:
        """In the dtype in which it will be used: 16 bits are some hundred times slower on a CPU without their units."""
        return open_model(folder, device, None)
