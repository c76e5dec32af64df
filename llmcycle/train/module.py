"""The Lightning module that every trained stage extends: optimiser groups, schedule, counts."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pytorch_lightning as pl
import torch
from peft import PeftConfig
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel

from llmcycle.model import (
    Memory,
    adapt,
    allocate,
    allocation,
    freeze,
    lr_ratios,
    measure,
    needs_data,
    regularisation,
    restore_allocation,
)
from llmcycle.train.optimizer_state import by_index, by_name
from llmcycle.train.sharding import gather, shard, skeleton
from llmcycle.train.throughput import synchronise

STEPS_ARGUMENTS = ("num_training_steps", "total_steps", "T_max")  # what schedules call the length of a run
HIDDEN, HEAD, PLAIN = range(3)  # kinds of parameters, in the order of the optimizer's groups
KINDS: tuple[dict[str, Any], ...] = ({"kind": "hidden"}, {"kind": "head"}, {"kind": "plain", "weight_decay": 0.0})
STATE = "llmcycle"  # where a checkpoint keeps what this module has counted


@dataclass
class Pace:
    """What one process has done since it began to train.

    Args:
        started: on the clock of `time.perf_counter`.
        seconds: until the end of training.
        tokens, rows: that all processes together have read, padding not counted.
    """

    started: float = 0.0
    seconds: float = 0.0
    tokens: Tensor | int = 0
    rows: int = 0

    @property
    def tokens_per_second(self) -> float:
        """Up to now, or over the whole of a run that has ended."""
        return float(self.tokens) / max(self.seconds or time.perf_counter() - self.started, 1e-9)


class TrainedModule(pl.LightningModule):
    """A model, what trains it and how. A subclass says only what its loss is.

    Args:
        model: the model; it is trained whole unless `peft` is given.
        optim: makes the optimiser from parameter groups (`_partial_: true` in YAML).
        schedule: makes the learning-rate schedule from the optimiser, stepped once an optimiser step. The length of
            the run comes from the trainer unless YAML sets it; a warm-up below 1 is a share of that length.
        peft: an adapter to put on the model; it alone is trained then.
        frozen: patterns on names of parameters that are not trained: see `llmcycle.model.freeze`.

    Attributes:
        losses: the training loss of every batch so far; on a GPU as tensors, because reading one would make it wait.
        tokens: tokens that the model has read in training, padding not counted.
        pace: of this process's part of the run: see `Pace`.
        memory: bytes of weights, gradients and optimiser state at the end of training; None before.
        comparable: whether the loss of a fixed batch means the same before and after training.
        compared: whether its memory is set beside that of other ways to train the model.
        compiled: whether its passes are compiled, so that no operation of torch makes their buffers.
        calibrates: whether its batches are such that an adapter may start from them.
    """

    comparable = True
    compared = False
    compiled = False
    calibrates = False

    def __init__(
        self,
        model: PreTrainedModel,
        optim: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        peft: PeftConfig | None = None,
        frozen: Sequence[str] = (),
    ) -> None:
        super().__init__()
        peft = peft or None  # an option left empty (peft=none) arrives as {}
        self.waiting = peft if self.calibrates and needs_data(peft) else None
        self.model: Any = model if self.waiting else adapt(model, peft)
        self.frozen = frozen
        if not self.waiting:
            freeze(self.model, frozen)
        self.optim, self.schedule = optim, schedule
        self.losses: list[Tensor | float] = []
        self.tokens: Tensor | int = 0
        self.pace = Pace()
        self.memory: Memory | None = None
        self.strict_loading = False  # a checkpoint holds what is trained, not a frozen base
        self.skeleton: list[Any] = []  # of a sharded model; in a list, so that it is no part of this module
        self._norm: Tensor | None = None
        self.allocated = 0  # the step after which AdaLoRA moved ranks last

    def calibrate(self, batches: Callable[[], Iterable[dict[str, Tensor]]]) -> None:
        """Put on an adapter that starts from training batches; all others are there by now."""
        if self.waiting:
            self.model, self.waiting = adapt(self.model, self.waiting, batches), None
            freeze(self.model, self.frozen)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to minimise, and further values to log by name."""
        raise NotImplementedError(f"{type(self).__name__} must say what its loss is")

    def configure_model(self) -> None:
        """Lightning's hook: where the strategy has laid out a mesh of processes, each takes its share of weights."""
        if self._device_mesh is not None and not self.skeleton:
            self.skeleton = [skeleton(self.model)]
            shard(self.model, self._device_mesh["data_parallel"])

    def gathered(self) -> Any:
        """The model with all of its weights, on the first process; all processes take part."""
        return gather(self.model, *self.skeleton) if self.skeleton else self.model

    def configure_optimizers(self) -> Any:
        """The optimiser over decay groups, and the schedule over it.

        Raises:
            ValueError: a fused optimiser under fp16: it takes scaled gradients, whose norm can't be judged or clipped.
        """
        optimizer = self.optim(decay_groups(self.model))
        for group in optimizer.param_groups:
            group["lr"] *= group.get("lr_ratio", 1.0)
        if self.trainer.precision == "16-mixed" and getattr(optimizer, "_step_supports_amp_scaling", False):
            raise ValueError(
                "optim.fused: a fused optimizer takes gradients that fp16 has scaled, whose norm can be neither judged "
                "nor clipped; set optim.fused=false, or trainer.precision=bf16-mixed"
            )
        steps = int(self.trainer.estimated_stepping_batches)
        return [optimizer], [{"scheduler": build_schedule(self.schedule, optimizer, steps), "interval": "step"}]

    def on_fit_start(self) -> None:
        """`from_pretrained` leaves dropout off, and Lightning keeps it so."""
        self.model.train()

    def training_step(self, batch: dict[str, Tensor], *_: Any) -> Tensor:
        """Lightning's hook."""
        loss, values = self.loss(batch)
        whole = self.over_processes(loss.detach())
        # A tensor kept from each step pins the heap that glibc would use again: 1.5 MB a step on a CPU (measured).
        self.losses.append(whole.item() if whole.device.type == "cpu" else whole)
        read = count_tokens(batch) * self.trainer.world_size
        self.tokens, self.pace.tokens = self.tokens + read, self.pace.tokens + read
        self.pace.rows += len(batch["input_ids"]) * self.trainer.world_size
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        values = {"loss": whole, "lr": rate, **values}
        self.log_dict({f"train/{name}": value for name, value in values.items()})
        return loss + regularisation(self.model)

    def validation_step(self, batch: dict[str, Tensor], *_: Any) -> None:
        """Lightning's hook; off unless the trainer's `limit_val_batches` is raised."""
        loss, values = self.loss(batch)
        size = len(batch["input_ids"])
        self.log_dict({f"validation/{k}": v for k, v in {"loss": loss, **values}.items()}, batch_size=size)

    def over_processes(self, loss: Tensor) -> Tensor:
        """The mean of all processes' losses."""
        reduced = self.trainer.strategy.reduce(loss.clone(), reduce_op="mean") if self.trainer.world_size > 1 else loss
        assert isinstance(reduced, Tensor)
        return reduced

    def gradient_norm(self) -> Tensor:
        """The 2-norm of all gradients together, before clipping; counted once a step."""
        if self._norm is None:
            self._norm = get_total_norm([p.grad for p in self.parameters() if p.grad is not None])
        return self._norm.full_tensor() if isinstance(self._norm, DTensor) else self._norm

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Lightning's hook: clips by the norm that is logged, or as Lightning does."""
        self.log("train/grad_norm", self.gradient_norm())
        norm, self._norm = self._norm, None
        assert norm is not None
        if gradient_clip_algorithm == "value":
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            clip_grads_with_norm_(self.parameters(), gradient_clip_val, norm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: frozen weights are left out, as they come from the stage's input again."""
        frozen = {name for name, p in self.named_parameters() if not p.requires_grad}
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k not in frozen}
        # A sharded run counts parameters in the model's order, any other in that of the optimizer's groups.
        names = [name for name, _ in self.named_parameters()] if self.skeleton else optimizer_names(self)
        checkpoint["optimizer_states"] = [by_name(s, names) if s else s for s in checkpoint["optimizer_states"]]
        counted = {"losses": [float(loss) for loss in self.losses], "tokens": int(self.tokens)}
        checkpoint[STATE] = {**counted, "allocation": allocation(self.model)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook."""
        counted = checkpoint[STATE]
        self.losses, self.tokens = list(counted["losses"]), counted["tokens"]
        restore_allocation(self.model, counted["allocation"])
        if "state_dict" in checkpoint:  # a sharded run has its weights and its optimizer's state by now
            self.localise(checkpoint)

    def localise(self, checkpoint: dict[str, Any]) -> None:
        """Give the optimizer's state in a checkpoint the form that this process's optimizer takes.

        Raises:
            ValueError: the checkpoint lacks weights that are trained here.
        """
        trained = {name for name, p in self.named_parameters() if p.requires_grad}
        if missing := sorted(trained - checkpoint["state_dict"].keys()):
            raise ValueError(f"resume: the checkpoint lacks {missing[0]} and {len(missing) - 1} more weights")
        names = optimizer_names(self)
        checkpoint["optimizer_states"] = [by_index(state, names) for state in checkpoint["optimizer_states"]]

    def on_train_batch_end(self, *_: Any) -> None:
        """Lightning's hook, at which a step's gradients are still there."""
        if self.global_step != self.allocated:  # not between the batches that one step gathers
            self.allocated = self.global_step
            allocate(self.model, self.global_step)

    def on_train_start(self) -> None:
        """Lightning's hook: what went before, setting up or a resumed run's earlier part, has no share in the pace."""
        self.pace = Pace(started=time.perf_counter())

    def on_train_end(self) -> None:
        """Lightning's hook. Memory is counted here because gradients and state are still there."""
        synchronise(self.device)
        self.pace.seconds = time.perf_counter() - self.pace.started
        self.memory = measure(self.model, self.trainer.optimizers[0])


def count_tokens(batch: dict[str, Tensor]) -> Tensor | int:
    """Tokens of a batch that are not padding: by its mask, else up to each row's last label, else all."""
    if "attention_mask" in batch:
        return batch["attention_mask"].sum()
    if "labels" not in batch:
        return batch["input_ids"].numel()
    places = torch.arange(1, batch["labels"].shape[1] + 1, device=batch["labels"].device)
    return (places * (batch["labels"] >= 0)).max(1).values.sum()


def decay_groups(model: Any) -> list[dict[str, Any]]:
    """Trainable parameters by `kind`: "hidden" matrices, the output "head" if it has a matrix of its own, and "plain".

    The plain ones (norms, biases, embeddings) do not decay. Those that learn faster (LoRA+) have a group of their own.
    """
    ratios = lr_ratios(model)
    embeddings = {id(p) for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    head = getattr(model, "get_output_embeddings", lambda: None)()
    heads = {id(p) for p in head.parameters()} if head else set()
    groups: dict[tuple[int, float], list[nn.Parameter]] = {}
    for p in model.parameters():
        kind = PLAIN if p.ndim < 2 or id(p) in embeddings else HEAD if id(p) in heads else HIDDEN
        if p.requires_grad:
            groups.setdefault((kind, ratios.get(id(p), 1.0)), []).append(p)
    return [
        {"params": params, **KINDS[kind], **({} if ratio == 1 else {"lr_ratio": ratio})}
        for (kind, ratio), params in sorted(groups.items())
    ]


def optimizer_names(module: nn.Module) -> list[str]:
    """Names of the trained parameters in the order in which the optimizer counts them."""
    names = {id(p): name for name, p in module.named_parameters()}
    return [names[id(p)] for group in decay_groups(module) for p in group["params"]]


def build_schedule(schedule: Callable[..., LRScheduler], optimizer: Optimizer, steps: int) -> LRScheduler:
    """The schedule, told the length of the run under whichever name it has for that, unless YAML has set it."""
    given: dict[str, Any] = dict(getattr(schedule, "keywords", {}))
    accepted = inspect.signature(schedule).parameters
    filled = {name: steps for name in STEPS_ARGUMENTS if name in accepted and given.get(name) is None}
    warmup = given.get("num_warmup_steps")
    if isinstance(warmup, float) and warmup < 1:
        filled["num_warmup_steps"] = int(warmup * steps)
    return schedule(optimizer, **filled)


def mean_loss(losses: Sequence[Tensor | float]) -> float:
    """Mean of some recorded losses."""
    return fmean(map(float, losses))
