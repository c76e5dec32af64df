"""What is trained: models by role, an objective, an optimiser and its schedule, as one Lightning module."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

import pytorch_lightning as pl
from peft import PeftConfig
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel

from llmcycle.model import Memory, allocate, allocation, measure, regularisation, restore_allocation
from llmcycle.quantities import Count
from llmcycle.train.groups import parameter_names, role_groups
from llmcycle.train.models import POLICY, REFERENCE, Models
from llmcycle.train.objective import Batch, Loss, Objective
from llmcycle.train.optimizer_state import by_index, by_name
from llmcycle.train.pace import Pace, count_tokens
from llmcycle.train.schedules import build_schedule
from llmcycle.train.throughput import synchronise

STATE = "llmcycle"  # where a checkpoint keeps what this module has counted


class Learner(pl.LightningModule):
    """Models, what they learn and how: the same parts whatever the objective.

    Args:
        model: the policy; it is trained whole unless `peft` is given, and handed on in the end.
        objective: what is minimised.
        optim: makes the optimiser from parameter groups (`_partial_: true` in YAML).
        schedule: makes the learning-rate schedule from the optimiser, stepped once an optimiser step. The length of
            the run comes from the trainer unless YAML sets it; a warm-up below 1 is a share of that length.
        peft: an adapter to put on the model; it alone is trained then.
        new_tokens: tokens that the model has never seen, whose rows in the embeddings are trained beside an adapter.
        frozen: patterns on names of parameters that are not trained: see `llmcycle.model.freeze`.
        gradient_checkpointing: activations are computed again for the gradient instead of being kept.
        loss_chunk: tokens whose logits exist at once; None for all. For large vocabularies.
        compile: the model's forward and backward pass by `torch.compile`.
        others: models of the further roles that the objective uses, such as a critic, by role.

    Attributes:
        models: see `Models`.
        losses: the training loss of every batch so far; on a GPU as tensors, because reading one would make it wait.
        tokens: tokens that the model has read in training, padding not counted.
        pace: of this process's part of the run: see `Pace`.
        memory: bytes of weights, gradients and optimiser state at the end of training; None before.

    Raises:
        ValueError: a setting that the objective has no use for, or a role without its model.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        objective: Objective,
        optim: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        peft: PeftConfig | None = None,
        new_tokens: Sequence[int] | None = None,
        frozen: Sequence[str] = (),
        gradient_checkpointing: bool = False,
        loss_chunk: Count | None = None,
        compile: bool = False,
        others: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        refuse_chunk(loss_chunk, objective)
        refuse_roles(others or {}, objective)
        self.objective, self.optim, self.schedule = objective, optim, schedule
        self.models = Models(
            model,
            others,
            trains=objective.trains,
            reference=objective.needs_reference,
            stored=objective.stores_reference,
            peft=peft,
            new_tokens=new_tokens or (),
            waits=objective.calibrates,
            frozen=frozen,
            gradient_checkpointing=gradient_checkpointing,
            loss_chunk=loss_chunk,
            compile=compile,
        )
        self.losses: list[Tensor | float] = []
        self.tokens: Tensor | int = 0
        self.pace = Pace()
        self.memory: Memory | None = None
        self.memory_before: Memory | None = None  # of the checkpoint that this run went on from
        self.strict_loading = False  # a checkpoint holds what is trained, not a frozen base
        self._norm: Tensor | None = None
        self.allocated = self.freed = 0  # the steps after which AdaLoRA moved ranks last, and gradients were freed

    @staticmethod
    def preflight(compile: bool = False, loss_chunk: int | None = None, **_: object) -> None:
        """Refuse, before anything is built, what this machine can't do."""
        compiler = os.environ.get("CXX", "g++")  # where torch looks for it
        if compile and shutil.which(compiler) is None:
            raise ValueError(
                f"module.compile: torch.compile needs the C++ compiler {compiler}, which is not here; "
                "install it, name another by the variable CXX, or set module.compile=false"
            )
        refuse_chunk(loss_chunk)

    @property
    def model(self) -> Any:
        """The policy."""
        return self.models.policy

    def calibrate(self, batches: Callable[[], Iterable[Mapping[str, Tensor]]]) -> None:
        """Put on an adapter that starts from training batches; all others are there by now."""
        self.models.calibrate(batches)

    def loss(self, batch: Batch) -> Loss:
        """What the objective makes of a batch: the scalar to minimise, and further values to log by name."""
        return self.objective.loss(self.models, batch)

    def configure_model(self) -> None:
        """Where the strategy has laid out a mesh of processes, each takes its share of weights."""
        if self._device_mesh is not None and not self.models.sharded:
            self.models.shard(self._device_mesh["data_parallel"])

    def gathered(self) -> Any:
        """The policy with all of its weights, on the first process; all processes take part."""
        return self.models.gathered()

    def configure_optimizers(self) -> Any:
        """The optimiser over the groups of all trained models, and the schedule over it."""
        optimizer = self.optim(role_groups(self.models.trained()))
        for group in optimizer.param_groups:
            group["lr"] *= group.get("lr_ratio", 1.0)
        refuse_fused(optimizer, str(self.trainer.precision))
        steps = int(self.trainer.estimated_stepping_batches)
        return [optimizer], [{"scheduler": build_schedule(self.schedule, optimizer, steps), "interval": "step"}]

    def on_fit_start(self) -> None:
        """`from_pretrained` leaves dropout off, and Lightning keeps it so."""
        self.models.train()
        with self.trainer.precision_plugin.forward_context():
            self.objective.begin(self.models, self.trainer.datamodule)  # type: ignore[attr-defined]

    def training_step(self, batch: Batch, *_: object) -> Tensor:
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

    def validation_step(self, batch: Batch, *_: object) -> None:
        """Off unless the trainer's `limit_val_batches` is raised."""
        loss, values = self.loss(batch)
        size = len(batch["input_ids"])
        self.log_dict({f"validation/{k}": v for k, v in {"loss": loss, **values}.items()}, batch_size=size)

    def over_processes(self, loss: Tensor) -> Tensor:
        """The mean of all processes' losses."""
        reduced = self.trainer.strategy.reduce(loss.clone(), reduce_op="mean") if self.trainer.world_size > 1 else loss
        assert isinstance(reduced, Tensor)
        return reduced

    def gradient_norm(self) -> Tensor:
        """The 2-norm of all gradients together, before clipping; counted once a step.

        It is summed in the order of the models' parameters, so that other groups of the optimiser change no bit.
        """
        if self._norm is None:
            self._norm = get_total_norm([p.grad for p in self.parameters() if p.grad is not None])
        return self._norm.full_tensor() if isinstance(self._norm, DTensor) else self._norm

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips by the norm that is logged, or as Lightning does."""
        self.log("train/grad_norm", self.gradient_norm())
        norm, self._norm = self._norm, None
        assert norm is not None
        if gradient_clip_algorithm == "value":
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            clip_grads_with_norm_(self.parameters(), gradient_clip_val, norm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Frozen weights are left out, as they come from the stage's input again."""
        frozen = {name for name, p in self.named_parameters() if not p.requires_grad}
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k not in frozen}
        checkpoint["optimizer_states"] = [by_name(s, self.names()) if s else s for s in checkpoint["optimizer_states"]]
        counted = {"losses": [float(loss) for loss in self.losses], "tokens": int(self.tokens)}
        own = {"allocation": allocation(self.model), "objective": self.objective.state_dict()}
        own["memory"] = asdict(measure(self.models, self.trainer.optimizers[0]))
        checkpoint[STATE] = {**counted, **own}

    def names(self) -> list[str]:
        """Names of parameters as a checkpoint that is being written counts them."""
        if self.models.sharded:  # torch counts them in the order of the model then, whatever the optimizer's groups
            return [name for name, _ in self.named_parameters()]
        return parameter_names(self, self.trainer.optimizers[0])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        counted = checkpoint[STATE]
        self.losses, self.tokens = list(counted["losses"]), counted["tokens"]
        restore_allocation(self.model, counted["allocation"])
        self.objective.load_state_dict(counted["objective"])
        self.memory_before = Memory(**counted["memory"])
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
        # A checkpoint is read before the trainer has an optimizer; a fresh one has the same order, and no state yet.
        names = parameter_names(self, self.optim(role_groups(self.models.trained())))
        checkpoint["optimizer_states"] = [by_index(state, names) for state in checkpoint["optimizer_states"]]

    def on_train_batch_start(self, *_: object) -> None:
        """Free the gradients of the step before: Lightning would hold them until this batch's forward pass is over."""
        if self.global_step != self.freed:  # not between the batches that one step gathers
            self.freed = self.global_step
            self.zero_grad()

    def on_train_batch_end(self, *_: object) -> None:
        """A step's gradients are still there."""
        if self.global_step != self.allocated:  # not between the batches that one step gathers
            self.allocated = self.global_step
            allocate(self.model, self.global_step)

    def on_train_start(self) -> None:
        """What went before, setting up or a resumed run's earlier part, has no share in the pace."""
        self.pace = Pace()

    def on_train_end(self) -> None:
        """Memory is counted here because gradients and state are still there."""
        synchronise(self.device)
        self.pace.end()
        self.memory = measure(self.models, self.trainer.optimizers[0])
        if self.memory_before is not None and not self.memory.gradients:  # interrupted after its last step
            self.memory = self.memory_before


def refuse_chunk(loss_chunk: int | None, objective: Objective | None = None) -> None:
    """ValueError for an empty chunk, or for one where there are no logits over a vocabulary."""
    if loss_chunk is not None and loss_chunk < 1:
        raise ValueError(f"module.loss_chunk={loss_chunk}: at least one token's logits are needed, or null for all")
    if loss_chunk is not None and objective is not None and not objective.chunks:
        raise ValueError(
            f"module.loss_chunk={loss_chunk}: {type(objective).__name__} computes no logits over a vocabulary; "
            "set module.loss_chunk=null"
        )


def refuse_roles(others: Mapping[str, nn.Module], objective: Objective) -> None:
    """ValueError for a role without its model, or for a model without a role."""
    needed, name = set(objective.roles) - {POLICY, REFERENCE}, type(objective).__name__
    if missing := sorted(needed - others.keys()):
        raise ValueError(f"module.others: {name} needs a model as {missing[0]}; give module.others.{missing[0]}")
    if unused := sorted(others.keys() - needed):
        raise ValueError(f"module.others.{unused[0]}: {name} has no use for it; leave it out")


def refuse_fused(optimizer: Optimizer, precision: str) -> None:
    """ValueError for a fused optimiser under fp16: it takes scaled gradients, whose norm can't be judged or clipped."""
    if precision == "16-mixed" and getattr(optimizer, "_step_supports_amp_scaling", False):
        raise ValueError(
            "optim.fused: a fused optimizer takes gradients that fp16 has scaled, whose norm can be neither judged "
            "nor clipped; set optim.fused=false, or trainer.precision=bf16-mixed"
        )


def mean_loss(losses: Sequence[Tensor | float]) -> float:
    """Mean of some recorded losses."""
    return fmean(map(float, losses))
