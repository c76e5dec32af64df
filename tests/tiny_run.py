"""A training run of seconds, to be stopped, killed, spoilt and gone on with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, get_cosine_schedule_with_warmup

from llmcycle.data.batches import Batches
from llmcycle.data.encode import Completion, Packed
from llmcycle.train import BadSteps, Checkpoints, Learner, Models, Objective
from llmcycle.train.fit import prepare, train

STEPS = 12
ADAMW = partial(torch.optim.AdamW, lr=1e-2)


@dataclass
class Rows:
    train: list[dict[str, Any]]
    validation: list[dict[str, Any]]


class Noisy(Objective):
    """transformers' own loss, with a draw from each global generator: what dropout and augmentation do."""

    def loss(self, models: Models, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        noise = 1 + 0.1 * (torch.rand(()) + random.random() + float(np.random.rand()))
        return models.run(**batch, use_cache=False).loss * noise, {}


class Spoilt(Learner):
    """Multiplies the loss, or the gradient alone, of some steps by a factor that may be NaN or infinite."""

    def __init__(self, *parts: Any, factor: float, steps: Sequence[int], gradient: bool) -> None:
        super().__init__(*parts)
        self.factor, self.steps, self.gradient = factor, steps, gradient

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        loss, values = super().loss(batch)
        spoil = self.training and not self.gradient and self.global_step in self.steps
        return loss * (self.factor if spoil else 1.0), values

    def on_after_backward(self) -> None:
        if self.gradient and self.global_step in self.steps:
            for parameter in self.parameters():
                parameter.grad.mul_(self.factor)


class Stopped(Exception):
    """Stands for whatever ends a process."""


class StopAfter(pl.Callback):
    """Ends the run in the middle of a batch of the given number, counted over all steps."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_before_zero_grad(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.fit_loop.epoch_loop.batch_progress.total.ready > self.batch:
            raise Stopped


def disturb() -> None:
    """As another process, or other work before the restart, would leave the global generators."""
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)


def module(cls: type[Learner] = Learner, **options: Any) -> Learner:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=261, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        attention_dropout=0.2,
    )  # fmt: skip
    schedule = partial(get_cosine_schedule_with_warmup, num_warmup_steps=2)
    return cls(LlamaForCausalLM(config), Noisy(), ADAMW, schedule, **options)


def batches(tokenizer: PreTrainedTokenizerFast, workers: int, packed: bool) -> Batches:
    texts = [f"{'abcdefgh'[: 1 + i % 7]} {i}" for i in range(27)]
    rows = [{"text": t} if packed else {"prompt": t, "completion": t[::-1]} for t in texts]
    encode = Packed(16) if packed else Completion(24)
    return Batches(Rows(rows[:23], rows[23:]), encode, tokenizer, 4, 4, seed=5, workers=workers)


def run(
    folder: Path,
    data: Batches,
    accumulate: int = 1,
    stop: int | None = None,
    every: int = 2,
    extra: Sequence[pl.Callback] = (),
    trained: Learner | None = None,
    **options: Any,
) -> Learner:
    """Train from the newest checkpoint in `folder`, or stop in the middle of batch `stop`."""
    pl.seed_everything(7, verbose=False)
    trained = trained or module()
    callbacks = [Checkpoints(every, keep=2), BadSteps(), *extra, *([] if stop is None else [StopAfter(stop)])]
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    settings = {"max_steps": STEPS, "limit_val_batches": 0, "gradient_clip_val": 1.0, "accelerator": "cpu", **options}
    trainer = pl.Trainer(
        callbacks=callbacks, accumulate_grad_batches=accumulate, enable_model_summary=False, **quiet, **settings
    )
    found = prepare(trainer, folder, "auto")
    if found:
        disturb()
    train(trained, data, trainer, None, found)
    return trained


def same(a: Learner, b: Learner) -> bool:
    """Every loss, and every bit of the weights."""
    pairs = zip(a.models.state_dict().values(), b.models.state_dict().values(), strict=True)
    return a.losses == b.losses and all(torch.equal(x, y) for x, y in pairs)
