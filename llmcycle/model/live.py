"""Bytes of the tensors that a training step makes on its way, at the most: its activations.

It counts storages as operations allocate and free them, so it holds for whatever is kept for the gradient, for what is
computed again under gradient checkpointing and for what exists for a moment, and alike for real and for fake tensors.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

PLACES = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put.default, torch.ops.aten._index_put_impl_.default}


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what operations allocate while it is on, in bytes.

    Attributes:
        now: held at this moment, without gradients of parameters.
        peak: of `now`: the activations.
        gradients: of parameters, made while it is on.
        peak_with_gradients: of both together.

    Of tensors that were there before, of views and of what is written in place nothing is counted. A fake tensor
    picked by a real mask gets its shape from the mask's values.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = self.gradients = self.peak_with_gradients = 0
        self._held: dict[int, tuple[weakref.ref[Any], int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in PLACES:
            args = (args[0], _places(args[1]), *args[2:])
        input_keys = {_key(tensor) for tensor in _tensors((args, kwargs))}
        out = func(*args, **kwargs)
        for tensor in _tensors(out):
            if _key(tensor) not in input_keys:
                self._hold(tensor)
        return out

    def make_gradient(self, parameter: Tensor) -> None:
        """The gradient that the parameter now has is no activation any more."""
        assert parameter.grad is not None
        for tensor in _plain(parameter.grad):
            self.gradients += self._drop(_key(tensor))

    def _hold(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _key(tensor)
        if key in self._held:
            return
        self._held[key] = weakref.ref(storage, lambda _: self._drop(key)), storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        self.peak_with_gradients = max(self.peak_with_gradients, self.now + self.gradients)

    def _drop(self, key: int) -> int:
        size = self._held.pop(key, (None, 0))[1]
        self.now -= size
        return size


@contextmanager
def live(model: nn.Module) -> Iterator[Live]:
    """Count activations: all that is allocated inside but the gradients of the model's parameters."""
    counter = Live()
    trained: list[Any] = [p for p in model.parameters() if p.requires_grad]
    handles = [p.register_post_accumulate_grad_hook(counter.make_gradient) for p in trained]
    try:
        with counter:
            yield counter
    finally:
        for handle in handles:
            handle.remove()


def _tensors(values: object) -> list[Tensor]:
    return [part for value in tree_leaves(values) if isinstance(value, Tensor) for part in _plain(value)]


def _plain(tensor: Tensor) -> list[Tensor]:
    """Itself, or the tensors that hold the numbers of a subclass or of a sparse one."""
    if tensor.is_sparse:
        return [tensor._indices(), tensor._values()]
    inner = getattr(tensor, "__tensor_flatten__", None)
    return [part for name in inner()[0] for part in _plain(getattr(tensor, name))] if inner else [tensor]


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _places(indices: Any) -> list[Any]:
    """Masks as the places where they are true."""
    places: list[Any] = []
    for index in indices:
        masked = isinstance(index, Tensor) and index.dtype == torch.bool
        places += index.nonzero(as_tuple=True) if masked else [index]
    return places
