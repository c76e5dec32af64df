"""Activations of a training step in bytes: counted on the largest batch of a run, and foretold without its memory."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Hashable, Mapping
from contextlib import ExitStack
from typing import Any

import pytorch_lightning as pl
import torch
from bitsandbytes.nn.modules import Linear4bit
from peft import PeftModel
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from transformers import PreTrainedModel

from llmcycle.model.live import Live, live
from llmcycle.train.learner import Learner

log = logging.getLogger(__name__)
Batch = Mapping[str, Tensor]
COUNTS = ("peak", "gradients", "peak_with_gradients")  # of `Live`, for a checkpoint
_known: dict[Hashable, Live | None] = {}


class Activations(pl.Callback):
    """Counts what forward and backward pass of a batch hold, each time that one is larger than all before.

    Neither counted are compiled passes, whose buffers no operation makes, nor sharded ones.

    Attributes:
        largest: what was counted of the batch that held most; None before.
        batch: that batch.
    """

    def __init__(self) -> None:
        self.largest: Live | None = None
        self.batch: Batch | None = None
        self._tokens = 0
        self._counting = ExitStack()

    def state_dict(self) -> dict[str, Any]:
        if self.largest is None or self.batch is None:
            return {}
        counts = {name: getattr(self.largest, name) for name in COUNTS}
        batch = {name: tensor.cpu() for name, tensor in self.batch.items()}
        return {"counts": counts, "batch": batch, "tokens": self._tokens}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What a run counted before it was interrupted: it may have no batch left to count."""
        if not state_dict:
            return
        self.largest, self.batch, self._tokens = Live(), state_dict["batch"], state_dict["tokens"]
        for name, count in state_dict["counts"].items():
            setattr(self.largest, name, count)

    def on_train_batch_start(self, _: pl.Trainer, module: pl.LightningModule, batch: Batch, *__: object) -> None:
        assert isinstance(module, Learner)
        tokens = batch["input_ids"].numel()
        if tokens <= self._tokens or module.models.compiled or module.models.sharded:
            return
        counter = self._counting.enter_context(live(module))
        self._tokens = tokens
        self._counting.callback(self._keep, counter, batch)

    def on_after_backward(self, *_: object) -> None:
        self._counting.close()

    def on_train_batch_end(self, *_: object) -> None:
        """A step that was left out has no backward pass."""
        self._counting.close()

    def on_exception(self, *_: object) -> None:
        self._counting.close()

    def _keep(self, counter: Live, batch: Batch) -> None:
        if self.largest is None or counter.peak > self.largest.peak:
            self.largest, self.batch = counter, batch


def foretell(module: Learner, batch: Batch, model: nn.Module | None = None) -> Live | None:
    """What `Activations` will count of `batch`, from shapes alone: no weight, activation or gradient has any memory.

    It takes tenths of a second, so that it is done once for all arms of a sweep that are alike in it.

    Args:
        model: another one than the module's own, such as one with every weight trained.

    Returns:
        None where the loss depends on numbers that only a real model gives, such as the answers that it samples.
    """
    key = _signature(module, batch, module.model if model is None else model)
    if key not in _known:
        _known[key] = _step(module, batch, module.model if model is None else model)
    return _known[key]


def _step(module: Learner, batch: Batch, model: nn.Module) -> Live | None:
    own = module.model
    try:
        fake = faked(model, module.device)
        module.models.policy = fake
        with live(fake) as counter:
            with module.trainer.precision_plugin.forward_context():
                loss = module.loss(dict(batch))[0]
            torch.autograd.backward(loss)
    except Exception as error:  # whatever a library says to tensors without numbers, a run that has trained goes on
        log.info("activations cannot be foretold: %s", error)
        return None
    finally:
        module.models.policy = own
    return counter


def _signature(module: Learner, batch: Batch, model: PreTrainedModel) -> Hashable:
    """All that shapes can follow from: which tokens a batch has is no part of it, which of them are masked is."""
    settings = {**vars(module.objective), "chunk": module.models.loss_chunk}
    settings = {name: value for name, value in settings.items() if isinstance(value, int | float | str | None)}
    settings |= {name: repr(value) for name, value in vars(module.objective).items() if is_frozen(value)}
    adapter = model.active_peft_config.to_dict() if isinstance(model, PeftModel) else None
    masks = [(name, value.shape, "" if name == "input_ids" else value.tolist()) for name, value in batch.items()]
    weights = [(name, p.shape, p.dtype, p.requires_grad) for name, p in model.named_parameters()]
    flags = (str(module.device), module.trainer.precision, getattr(model, "is_gradient_checkpointing", False))
    parts = (settings, adapter, masks, weights, flags, model.config.to_dict())
    return type(module.objective), type(model), hashlib.sha256(repr(parts).encode()).hexdigest()


def is_frozen(value: object) -> bool:
    """Whether it is a dataclass of settings, such as a loss."""
    return bool(getattr(getattr(value, "__dataclass_params__", None), "frozen", False))


def faked(model: nn.Module, device: torch.device) -> Any:
    """A copy in training mode whose tensors have shapes and no memory, and behave as if they were on `device`.

    4-bit layers become what they compute with.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        memo = {id(layer): _plain(layer) for layer in model.modules() if isinstance(layer, Linear4bit)}
    with FakeCopyMode(mode):
        fake: Any = copy.deepcopy(model, memo)
    for tensor in (*fake.parameters(), *fake.buffers()):
        tensor.fake_device = device  # a model that was made without memory is on the meta device
    fake.zero_grad(set_to_none=True)
    return fake.train()


def _plain(layer: Linear4bit) -> nn.Linear:
    dtype = layer.compute_dtype or torch.float32
    plain = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, dtype=dtype)
    return plain.requires_grad_(False)
