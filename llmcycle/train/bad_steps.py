"""Steps that would do harm: a loss or gradient that is no number, or far beyond what the run has seen."""

from __future__ import annotations

import math
import sys
from collections import deque
from typing import Any

import pytorch_lightning as pl
import torch
from torch.optim import Optimizer

from llmcycle.quantities import Count, CountOrZero, Positive
from llmcycle.train.checkpoint_callback import Checkpoints, agreed
from llmcycle.train.learner import Learner


class BadSteps(pl.Callback):
    """Skips the update of a bad step and counts it; after several in a row goes back to the last good checkpoint.

    A step is bad if a loss or the gradient's norm is NaN or infinite, or more than `factor` times the largest of the
    last `window` good steps'. The step counts for schedule and data, but neither weights nor optimizer state change.
    Going back restores weights and optimizer and leaves the data where it is, so that the run does not meet the same
    batches again (as in PaLM, arXiv:2204.02311, section 5.1).

    Args:
        factor: how many times the largest is a spike.
        window: good steps that are remembered; while there are fewer than `warmup`, nothing is a spike.
        warmup: good steps before the first spike can be told.
        patience: bad steps in a row before the run goes back.
        retries: times that it goes back without a good step between before it gives up.

    Attributes:
        skipped, restored: how often it did either.
        in_doubt: whether there was no good step since the last bad one; then no checkpoint is written.
    """

    def __init__(
        self,
        factor: Positive = 10.0,
        window: Count = 64,
        warmup: CountOrZero = 4,
        patience: Count = 5,
        retries: CountOrZero = 3,
    ) -> None:
        self.factor, self.warmup, self.patience, self.retries = factor, warmup, patience, retries
        self.losses: deque[float] = deque(maxlen=window)
        self.norms: deque[float] = deque(maxlen=window)
        self.skipped = self.restored = self.in_a_row = self.tries = 0
        self._loss = 0.0  # the worst of this step's batches

    @property
    def in_doubt(self) -> bool:
        """See the class."""
        return self.in_a_row > 0 or self.tries > 0

    def state_dict(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in ("skipped", "restored", "in_a_row", "tries")}
        return {"losses": list(self.losses), "norms": list(self.norms), **counts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.losses.extend(state_dict.pop("losses"))
        self.norms.extend(state_dict.pop("norms"))
        self.__dict__.update(state_dict)

    def on_before_backward(self, trainer: pl.Trainer, _module: pl.LightningModule, loss: torch.Tensor) -> None:
        """`loss` is already divided by the batches of a step."""
        value = abs(float(loss.detach())) * trainer.accumulate_grad_batches
        self._loss = value if math.isnan(value) else max(self._loss, value)

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, _: Optimizer) -> None:
        """Gradients are whole and not yet clipped. Without gradients an optimizer changes nothing."""
        assert isinstance(module, Learner)
        norm = float(module.gradient_norm())
        loss, self._loss = self._loss, 0.0
        if not agreed(int(self.is_bad(loss, norm)), trainer):
            self.losses.append(loss)
            self.norms.append(norm)
            self.in_a_row = self.tries = 0
            return
        self.skipped += 1
        self.in_a_row += 1
        for parameter in module.parameters():
            parameter.grad = None
        say(f"step {trainer.global_step} is skipped: loss {loss:.4g}, gradient norm {norm:.4g}", trainer)

    def is_bad(self, loss: float, norm: float) -> bool:
        """Whether a step with these would do harm."""
        return self._far(loss, self.losses) or self._far(norm, self.norms)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        assert isinstance(module, Learner)
        if self.in_a_row >= self.patience:
            self.go_back(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, *_: object) -> None:
        """A run whose every step was left out has learnt nothing, and is no success.

        Raises:
            ValueError: it was so.
        """
        if 0 < trainer.global_step <= self.skipped:
            raise ValueError(
                f"all {self.skipped} steps were skipped, because a loss or a gradient was no number: "
                "nothing was learnt; lower `optim.lr`, or look at the data and at what the loss needs of it"
            )

    def go_back(self, trainer: pl.Trainer, module: Learner) -> None:
        """Weights and optimizer as the last good checkpoint has them.

        Raises:
            ValueError: there is none, or it has been tried often enough.
        """
        last = next((c.last for c in trainer.callbacks if isinstance(c, Checkpoints)), None)  # type: ignore[attr-defined]
        if last is None or self.tries >= self.retries:
            why = "there is no good checkpoint to go back to" if last is None else "going back did not help"
            raise ValueError(
                f"{self.in_a_row} bad steps in a row up to step {trainer.global_step}, and {why}: "
                "lower `optim.lr`, raise `schedule.num_warmup_steps`, or look at the data there"
            )
        say(f"{self.in_a_row} bad steps in a row: going back to step {last.step}", trainer)
        state = trainer.strategy.load_checkpoint(last.state, weights_only=True)
        if "state_dict" in state:  # sharded, it is in place by now
            module.localise(state)
            trainer.strategy.load_model_state_dict(state, strict=module.strict_loading)
            trainer.strategy.load_optimizer_state_dict(state)
        self.restored += 1
        self.tries += 1
        self.in_a_row = 0

    def _far(self, value: float, seen: deque[float]) -> bool:
        known = len(seen) >= self.warmup
        return not math.isfinite(value) or (known and value > self.factor * max(seen))


def say(line: str, trainer: pl.Trainer) -> None:
    """To the user, once whatever the number of processes."""
    if trainer.is_global_zero:
        print(line, file=sys.stderr)
