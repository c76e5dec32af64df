"""What hand-on asks of a way to store models: a format is one class in one file of this folder, and one YAML option."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from llmcycle.handoff.compare import Opened
from llmcycle.handoff.contents import Contents, contents
from llmcycle.handoff.observe import Model, Observation, Probe, observe
from llmcycle.model import load
from llmcycle.quantities import DtypeOrAuto

# How far outputs of equal models may be apart, as a share of the largest logit: a correct LoRA merge of SmolLM2-135M in
# fp32 moves logits by 3e-6. In 16 bits numbers are equal to the bit, and only sums may be taken in another order.
TOLERANCE = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


class Format(Protocol):
    """How a model is written to a folder and opened again.

    Attributes:
        new: whether the folder is a new model's, whose generation is to stop at the end of an answer; not for a copy.
        keeps_adapter: whether an adapter is written as one, though it could be merged; `check` reads it.
    """

    new: ClassVar[bool] = True
    keeps_adapter: ClassVar[bool] = False

    @property
    def merge(self) -> Callable[[Model], Model] | None:
        """How an adapter becomes part of the weights before they are written; None where it is kept as it is."""
        return None

    def refuse(self, model: Model) -> None:  # noqa: ARG002  by default it can hold any
        """Raise ValueError, with the remedy, when this format can't hold the model."""
        return

    def target_dtype(self, own: torch.dtype) -> torch.dtype:
        """Of the weights that it writes of a model whose own are in `own`."""
        return own

    def tolerance(self, dtype: torch.dtype, /) -> float:
        """How far what is opened may be from what was written in `dtype`: see TOLERANCE; 0 for bit by bit."""
        return TOLERANCE.get(dtype, TOLERANCE[torch.float32])

    def write(self, model: Model, tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
        """Write all that `open` needs."""
        ...

    def open(self, folder: Path, device: torch.device) -> Opened:
        """The model in a folder, as the next stage will open it."""
        ...


@dataclass(frozen=True)
class OpenedModel:
    """A model in this process, with the tokenizer of its folder."""

    model: Model
    tokenizer: PreTrainedTokenizerBase

    def observe(self, probe: Probe, *, aligned: bool = False) -> Observation:
        """See `llmcycle.handoff.observe`."""
        return observe(self.model, probe, aligned=aligned)

    def contents(self) -> Contents:
        """See `llmcycle.handoff.contents`."""
        return contents(self.model)


def open_model(folder: Path, device: torch.device, dtype: DtypeOrAuto | None = "auto") -> OpenedModel:
    """A folder with weights, an adapter or a pointer, as it was written: see `llmcycle.model.load`."""
    return OpenedModel(load(folder, dtype).to(device), AutoTokenizer.from_pretrained(folder))
