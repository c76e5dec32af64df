"""A learner of any objective, with an optimiser and a schedule that a test need not name."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from transformers import get_constant_schedule

from llmcycle.train import Learner, Objective

ADAMW = partial(torch.optim.AdamW, lr=1e-3)


def learner(model: Any, objective: Objective, peft: Any = None, optim: Any = ADAMW, **options: Any) -> Learner:
    """`options` are those of `Learner`."""
    return Learner(model, objective, optim, options.pop("schedule", get_constant_schedule), peft, **options)
