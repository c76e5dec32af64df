"""The adapter alone, a few megabytes, beside its base model, which is named by path, artifact id, dtype and digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from llmcycle.handoff.formats.format import Format, OpenedModel, open_model
from llmcycle.handoff.observe import Model
from llmcycle.model import digest, load, moves_base
from llmcycle.model.base import Base
from llmcycle.model.embedding_rows import keeps_rows
from llmcycle.model.quantised import rounding


@dataclass(frozen=True)
class Adapter(Format):
    """Any method of peft's that leaves its base as it is; the base keeps its dtype, the adapter that of training."""

    keeps_adapter: ClassVar[bool] = True

    def refuse(self, model: Model) -> None:
        if not isinstance(model, PeftModel):
            raise ValueError("handoff=adapter: all of the model was trained; set handoff=safetensors, or peft=lora")
        if moves_base(model):
            raise ValueError(
                "handoff=adapter: this method has taken its start out of the base's weights, so the adapter means "
                "nothing beside the base as it was; set handoff=safetensors, which merges it, or peft=lora"
            )
        if not keeps_rows(model.active_peft_config):
            raise ValueError(
                "handoff=adapter: this method's file cannot say that rows of new tokens were trained too; set "
                "handoff=safetensors, which merges them, or peft=lora"
            )

    def write(self, model: Model, tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
        assert isinstance(model, PeftModel)
        write_adapter(model, tokenizer, out)

    def open(self, folder: Path, device: torch.device) -> OpenedModel:
        return open_model(folder, device)


def write_adapter(model: PeftModel, tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
    """Write an adapter, its settings, the base's and the tokenizer, and which base it stands on.

    Raises:
        ValueError: the base is in no folder and on no Hub.
    """
    base = model.get_base_model()
    if not base.name_or_path:
        raise ValueError("handoff: this adapter is kept beside its base, which is in no folder; save the base first")
    if base.can_generate():
        base.generation_config.save_pretrained(out)
    name = Base.locate(base.name_or_path)
    rounded = rounding(base)
    # The digest is that of the folder's weights, not of those in memory, which a method may have changed.
    own = load(name, base.dtype, **Base.options(rounded))
    Base.of(name, base.dtype, digest(own), rounded).write(out)
    model.active_peft_config.base_model_name_or_path = name
    base.config.architectures = [type(base).__name__]  # a reward model's class is not that of its base's folder
    base.config.save_pretrained(out)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
