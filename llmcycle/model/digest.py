"""One name for all the numbers of a model, to prove that a stage did or did not change them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


def digest(model: nn.Module) -> str:
    """sha256 over every parameter and buffer (name, dtype, shape, bytes), whatever their order in the model.

    Tied weights count under each of their names, so a lost tie changes nothing as long as the numbers are equal.
    """
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    total = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        for leaf_name, leaf in _leaves(name, tensor.detach()):
            total.update(f"{leaf_name}|{leaf.dtype}|{tuple(leaf.shape)}|".encode())
            total.update(_bytes(leaf))
    return total.hexdigest()


def _leaves(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The plain tensors inside a tensor subclass (a torchao weight holds its data and scales), else the tensor."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        yield name, tensor
        return
    for inner in flatten()[0]:
        yield from _leaves(f"{name}.{inner}", getattr(tensor, inner))


def _bytes(tensor: Tensor) -> Any:
    return tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
