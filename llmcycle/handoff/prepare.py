"""The model as its format can hold it: an adapter merged in fp32, weights in the dtype in which they are written."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from peft import PeftModel

from llmcycle.model.adapters import mergeable
from llmcycle.model.quantised import is_quantised, write_out
from llmcycle.model.trial import merges

from .compare import compare_outputs
from .contents import Contents, contents
from .formats import Format
from .formats.format import TOLERANCE
from .merge import dtypes, narrow, widen
from .observe import Model, Observation, Probe, below, observe


@dataclass(frozen=True)
class Ready:
    """A model to write.

    Args:
        original: what the given model did on the probe.
        written: what this one does: the same, up to rounding; equal to `original` where nothing was rounded.
        contents: of this one.
        below: what lay below an adapter before it was merged; None where none was.
    """

    model: Model
    original: Observation
    written: Observation
    contents: Contents
    below: Contents | None = None


def prepare(model: Model, format: Format, probe: Probe) -> Ready:
    """Merge an adapter where the format wants that and the method can, and bring the weights into their dtype.

    Raises:
        ValueError: logits are not finite, the merged model is not the one that was trained, or its dtype can't hold it.
    """
    merged = _merged(model, format, probe) if format.merge is not None and mergeable(model) else None
    return merged or _unmerged(model, format, probe)


def _unmerged(model: Model, format: Format, probe: Probe) -> Ready:
    """A model without an adapter, or with one that stays beside its base."""
    own, target = model.dtype, format.target_dtype(model.dtype)
    original = _finite(observe(model, probe, aligned=format.tolerance(target) == 0))
    if target == own or isinstance(model, PeftModel) or is_quantised(model):
        return Ready(model, original, original, contents(model))
    narrow(model, dtypes(model), own, target)
    return Ready(model, original, _finite(observe(model, probe)), contents(model))


def _merged(model: Model, format: Format, probe: Probe) -> Ready | None:
    """Merged and compared in fp32, then rounded to what the base was in; None where the method can't merge after all.

    Weights that were rounded to 4 bits become fp32: the adapter was trained to make up for their rounding, and a second
    one would undo that.
    """
    assert format.merge is not None
    if is_quantised(below(model)) and not merges(model):
        return None  # known before the weights are written out, because they can't be rounded back
    own, tensors = model.dtype, dtypes(model)
    if is_quantised(below(model)):
        own, tensors = torch.float32, {}
    target = format.target_dtype(own)
    if model.dtype != torch.float32:
        widen(model)
    original = written = _finite(observe(model, probe))
    model = write_out(model)
    before = contents(model)
    whole = format.merge(model)
    if whole is model and own == torch.float32 and tensors:
        # As it was seen: some methods (Shadow) carry a state from run to run.
        return Ready(model, original, original, before)
    if whole is model:
        narrow(model, tensors, own, own)
        return None
    if target != torch.float32:
        compare_outputs(original, observe(whole, probe), TOLERANCE[torch.float32])
        narrow(whole, tensors, own, target)
        written = _finite(observe(whole, probe))
    return Ready(whole, original, written, contents(whole), before)


def _finite(seen: Observation) -> Observation:
    if not seen.logits.isfinite().all():
        raise ValueError("the trained model's logits are not finite: lower optim.lr or raise the warm-up")
    return seen
