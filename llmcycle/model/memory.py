"""Bytes that training holds, by part: the formula from shapes alone, and what is there after a step.

Activations depend on the batch and are counted apart: see live.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .adapters import base_parameters
from .quantised import full_shape, held


@dataclass(frozen=True)
class Memory:
    """Bytes by part, and numbers of parameters. Tied weights and shared state count once."""

    weights: int
    gradients: int
    optimizer_state: int
    trainable_parameters: int
    parameters: int

    @property
    def trained(self) -> int:
        """Bytes that exist only because of training: gradients and optimizer state."""
        return self.gradients + self.optimizer_state

    @property
    def resident(self) -> int:
        """Bytes that stay from step to step: weights, and what exists because of training."""
        return self.weights + self.trained


def measure(model: nn.Module, optimizer: Optimizer | None = None) -> Memory:
    """Count what is allocated now. Gradients and state are there after a step, until `zero_grad` frees the former."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return _memory(model, gradients, _state(optimizer) if optimizer else [])


Group = dict[str, Any]
Optim = Callable[[list[Group]], Optimizer]


def expected(
    model: nn.Module,
    optim: Optim,
    groups: Callable[[nn.Module], list[Group]] | None = None,
    *,
    train_all: bool = False,
) -> Memory:
    """What `measure` will find after one step of the optimizer that `optim` builds, without holding any of it.

    The step is taken on the meta device, which has shapes and no memory.

    Args:
        groups: how parameters are grouped for the optimizer, where their kinds matter to it.
        train_all: as if every parameter of the model below the adapter were trained, to compare the adapter with.
    """
    trained = base_parameters(model) if train_all else [p for p in model.parameters() if p.requires_grad]
    shapes = [full_shape(p) for p in trained]  # a rounded weight is trained as the plain one that it stands for
    counted = _memory(model, shapes, [])
    known = {id(p): group for group in (groups(model) if groups else []) for p in group["params"]}
    state = _state_bytes(optim, [(known.get(id(p), {}), shape) for p, shape in zip(trained, shapes, strict=True)])
    foretold = replace(counted, optimizer_state=state, trainable_parameters=sum(shape.numel() for shape in shapes))
    return replace(foretold, weights=_bytes([*shapes, *model.buffers()])) if train_all else foretold


def _state_bytes(optim: Optim, trained: list[tuple[Group, Tensor]]) -> int:
    try:
        return _step(optim, [(group, nn.Parameter(shape)) for group, shape in trained])
    except RuntimeError:  # a step that reads values (Adafactor's) needs real ones: zeros, one tensor at a time
        return sum(_step(optim, [(group, nn.Parameter(torch.zeros_like(p, device="cpu")))]) for group, p in trained)


def _step(optim: Optim, shadows: list[tuple[Group, nn.Parameter]]) -> int:
    """Bytes of state that one step of the optimizer leaves."""
    for _, shadow in shadows:
        shadow.grad = torch.zeros_like(shadow)
    optimizer = optim([{**group, "params": [shadow]} for group, shadow in shadows])
    optimizer.step()
    return _bytes(_state(optimizer))


def _state(optimizer: Optimizer) -> list[Tensor]:
    return [value for values in optimizer.state.values() for value in values.values() if isinstance(value, Tensor)]


def _memory(model: nn.Module, gradients: list[Tensor], state: list[Tensor]) -> Memory:
    parameters = list(model.parameters())
    return Memory(
        weights=_bytes([*parameters, *model.buffers()]),
        gradients=_bytes(gradients),
        optimizer_state=_bytes(state),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        parameters=sum(full_shape(p).numel() for p in parameters),
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Several plain tensors hold one that is stored rounded."""
    return sum(part.numel() * part.element_size() for tensor in tensors for part in held(tensor))
