"""The one way by which a model leaves a stage: written by a format, opened again by it, and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerBase

from llmcycle.data.chat import Prompt, encode_prompt
from llmcycle.data.padding import pad

from .compare import Before, Difference, Opened, compare, difference
from .contents import compare_numbers
from .formats import Format, OpenedModel
from .observe import Model, Probe, below
from .prepare import prepare
from .tokens import refuse_outgrown, stop_at_end

UNREADABLE = (OSError, RuntimeError, SafetensorError, HFValidationError)  # as libraries say it of files cut or missing
PROBES = 4  # prompts that a probe is made of


@dataclass(frozen=True)
class HandOff:
    """A model that was written, and opened again.

    Args:
        opened: the model as its folder gives it.
        difference: of its logits from those of the model that was given.
        merged: whether an adapter became part of the weights.
    """

    opened: Opened
    difference: Difference
    merged: bool

    @property
    def model(self) -> Model:
        """The model in this process; ValueError for a format that another runtime opens."""
        if not isinstance(self.opened, OpenedModel):
            raise ValueError(f"handoff: {type(self.opened).__name__} runs outside this process; ask it by its engine")
        return self.opened.model


def hand_on(model: Model, tokenizer: PreTrainedTokenizerBase, out: Path, format: Format, probe: Probe) -> HandOff:
    """Write a model to `out`, open it as the next stage will, and compare. A merge uses the given model up.

    Args:
        out: the folder that becomes the model's; made if it is not there.
        format: how it is written.
        probe: a few tokenised rows, on the device where the model is to be compared (`probe_of`).

    Raises:
        ValueError: the format can't hold the model, its logits are not finite, or what was opened is not the model
            that was given; the first difference is named.
    """
    format.refuse(model)
    refuse_outgrown(tokenizer, below(model).get_input_embeddings().weight.shape[0])
    if format.new:
        stop_at_end(model, tokenizer)
    ready = prepare(model, format, probe)
    out.mkdir(parents=True, exist_ok=True)
    format.write(ready.model, tokenizer, out)
    opened = _open(format, out, probe["input_ids"].device)
    before = Before(ready.written, ready.contents, tokenizer)
    seen = compare(before, opened, out, probe, format.tolerance(ready.model.dtype))
    if ready.below is not None:
        compare_numbers(ready.below, ready.contents, "after the merge, though no adapter stands on it")
    return HandOff(opened, difference(ready.original, seen), merged=ready.below is not None)


def probe_of(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], device: torch.device) -> Probe:
    """The first prompts as input_ids and attention_mask [B, T]."""
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    ids = [encode_prompt(tokenizer, prompt) or [start] for prompt in prompts[:PROBES]]
    mask = pad([[1] * len(row) for row in ids], 0)
    return {"input_ids": pad(ids, tokenizer.pad_token_id or 0).to(device), "attention_mask": mask.to(device)}


def _open(format: Format, folder: Path, device: torch.device) -> Opened:
    try:
        return format.open(folder, device)
    except UNREADABLE as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"hand-off: what was written to {folder} cannot be read again: {reason}") from error
