"""A learner of any objective, with an optimiser and a schedule that a test need not name, and a loop that trains it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import get_constant_schedule

from llmcycle.train import Learner, Objective

ADAMW = partial(torch.optim.AdamW, lr=1e-3)


def learner(model: Any, objective: Objective, peft: Any = None, optim: Any = ADAMW, **options: Any) -> Learner:
    """`options` are those of `Learner`."""
    return Learner(model, objective, optim, options.pop("schedule", get_constant_schedule), peft, **options)


def train(
    module: Learner,
    batch: dict[str, Tensor],
    steps: int,
    lr: float,
    clip: float | None = None,
    watch: Callable[[int], None] = lambda _: None,
) -> dict[str, float]:
    """Steps of Adam on one batch, with a rate that falls to a hundredth; the values that the module reported last.

    `watch` is told each step's number once it is done.
    """
    parameters = [parameter for _, model in module.models.trained() for parameter in model.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=lr)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    for step in range(steps):
        loss, values = module.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        decay.step()
        watch(step)
    return {name: float(value) for name, value in values.items()}


def minimise(loss: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """Where a loss is least, by L-BFGS in fp64 from `start`."""
    point = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [point], max_iter=2000, line_search_fn="strong_wolfe", tolerance_grad=1e-11, tolerance_change=1e-15
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(point)
        value.backward()
        return value

    optimizer.step(closure)
    return point.detach()
