"""One name for all the numbers of a model, to prove that a stage did or did not change them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


def digest(model: nn.Module) -> str:
    """sha256 over every parameter and buffer (name, dtype, shape, bytes), whatever their order in the model.

    Tied weights count under each of their names, so a lost tie changes nothing as long as the numbers are equal.
    """
    total = hashlib.sha256()
    for name, tensor in sorted(named_tensors(model), key=lambda item: item[0]):
        for kind, leaf in _leaves(name, tensor.detach()):
            total.update(f"{kind}|".encode())
            total.update(_bytes(leaf))
    return total.hexdigest()


def fingerprints(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, tuple[str, str]]:
    """By name, what each tensor is (its dtype and shape, part by part where it is quantised) and the sha256 of it."""
    return {name: _fingerprint(tensor.detach()) for name, tensor in tensors}


def named_tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and buffers, tied ones under each of their names."""
    return [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]


def _fingerprint(tensor: Tensor) -> tuple[str, str]:
    total, kinds = hashlib.sha256(), []
    for kind, leaf in _leaves("", tensor):
        kinds.append(kind.removeprefix("|").replace("|", " "))
        total.update(_bytes(leaf))
    return ", ".join(kinds), total.hexdigest()


def _leaves(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The plain tensors inside a tensor subclass (a torchao weight holds its data and scales), else the tensor."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        yield f"{name}|{tensor.dtype}|{tuple(tensor.shape)}", tensor
        return
    for inner in flatten()[0]:
        yield from _leaves(f"{name}.{inner}", getattr(tensor, inner))


def _bytes(tensor: Tensor) -> Any:
    return tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
