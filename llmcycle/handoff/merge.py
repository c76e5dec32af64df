"""An adapter becomes part of the weights: in fp32, because in 16 bits every sum of the merge would be rounded."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import PreTrainedModel

from llmcycle.model.adapters import mergeable
from llmcycle.model.digest import named_tensors
from llmcycle.model.embedding_rows import merge_rows
from llmcycle.model.quantised import compute_in_fp32

from .observe import Model, below

# Of `finfo.eps`: half a unit of the last place, and a little for the sum. What that does to logits is measured in
# tests/handoff/test_rounding.py: no more than computing in the same dtype does.
ROUNDING = 0.51
ADAPTED = (".base_layer", ".original_module", ".modules_to_save.default")  # in names of tensors under an adapter


def merge(model: Model) -> Model:
    """The plain model that an adapter was merged into; the given one where there is none, or it cannot be merged."""
    if not mergeable(model):
        return model
    merge_rows(model)
    try:
        merged: PreTrainedModel = model.merge_and_unload(safe_merge=True)
    except NotImplementedError:  # some methods say only now that they cannot merge, before they have touched a layer
        return model
    return merged


def dtypes(model: Model) -> dict[str, torch.dtype]:
    """Of each tensor, by its name with the adapter and by the one that it will have without."""
    named = [*named_tensors(model), *named_tensors(below(model))]
    return {form: tensor.dtype for name, tensor in named for form in (name, _without_adapter(name))}


def widen(model: Model) -> None:
    """To fp32, with the one buffer that is rounded with the weights, saved nowhere and so new when loaded again."""
    compute_in_fp32(model)
    for module in model.modules():
        if hasattr(module, "scalar_embed_scale"):  # Gemma's
            module.embed_scale.fill_(module.scalar_embed_scale)


@torch.no_grad()
def narrow(model: Model, tensors: Mapping[str, torch.dtype], own: torch.dtype, target: torch.dtype) -> None:
    """Each tensor to the dtype that it had, but to `target` those that were in the model's `own`.

    Buffers that hold no weights stay: transformers makes them anew, in fp32, when a model is loaded.

    Raises:
        ValueError: numbers of a tensor are too large or too small for its new dtype.
    """
    buffers = {name for name, _ in model.named_buffers() if not name.endswith("embed_scale")}
    for name, tensor in named_tensors(model):
        had = tensors.get(name, own)
        if tensor.is_floating_point():
            tensor.data = _rounded(name, tensor.data, target if had == own and name not in buffers else had)


def _rounded(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """In `dtype`: each number is off by half a unit of its last place at the most, unless it is beyond the range."""
    rounded = tensor.to(dtype)
    error = (rounded.float() - tensor.float()).norm()
    if not error <= ROUNDING * torch.finfo(dtype).eps * tensor.float().norm():
        short = str(dtype).removeprefix("torch.")
        raise ValueError(
            f"hand-off: {name} has numbers that {short} can't hold (rounded to it, it is off by {error:.2g}); set "
            "handoff.dtype=float32, or handoff=adapter, which rounds nothing"
        )
    return rounded


def _without_adapter(name: str) -> str:
    for part in ADAPTED:
        name = name.replace(part, "")
    return name
