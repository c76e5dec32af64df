"""Bytes that training holds, by part: the formula from shapes alone, and what is there after a step.

Activations are left out: they depend on the batch, and adapters save none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .adapters import base_parameters


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
    counted = _memory(model, [torch.empty_like(p, device="meta") for p in trained], [])
    known = {id(p): group for group in (groups(model) if groups else []) for p in group["params"]}
    state = _state_bytes(optim, [(known.get(id(p), {}), p) for p in trained])
    return replace(counted, optimizer_state=state, trainable_parameters=sum(p.numel() for p in trained))


def _state_bytes(optim: Optim, trained: list[tuple[Group, nn.Parameter]]) -> int:
    try:
        return _step(optim, [(group, nn.Parameter(torch.empty_like(p, device="meta"))) for group, p in trained])
    except RuntimeError:  # a step that reads values (Adafactor's) needs real ones: zeros, one tensor at a time
        return sum(_step(optim, [(group, nn.Parameter(torch.zeros_like(p)))]) for group, p in trained)


def _step(optim: Optim, shadows: list[tuple[Group, nn.Parameter]]) -> int:
    """Bytes of state that one step of the optimizer leaves."""
    for _, shadow in shadows:
        shadow.grad = torch.zeros_like(shadow)
    optimizer = optim([{**group, "params": [shadow]} for group, shadow in shadows])
    optimizer.step()
    return _bytes(_state(optimizer))


def _state(optimizer: Optimizer) -> list[Tensor]:
    return [part for values in optimizer.state.values() for value in values.values() for part in _parts(value)]


def _parts(value: Any) -> list[Tensor]:
    """The tensors that hold a value's bytes: several where it is stored quantised."""
    if not isinstance(value, Tensor):
        return []
    inner = getattr(value, "__tensor_flatten__", None)
    return [part for name in inner()[0] for part in _parts(getattr(value, name))] if inner else [value]


def _memory(model: nn.Module, gradients: list[Tensor], state: list[Tensor]) -> Memory:
    parameters = list(model.parameters())
    return Memory(
        weights=_bytes([*parameters, *model.buffers()]),
        gradients=_bytes(gradients),
        optimizer_state=_bytes(state),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        parameters=sum(p.numel() for p in parameters),
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
