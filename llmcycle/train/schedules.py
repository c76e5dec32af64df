"""Learning-rate schedules whose phases are shares of the run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_wsd_schedule

from llmcycle.quantities import Count, NotNegative, Share

STEPS_ARGUMENTS = ("num_training_steps", "total_steps", "T_max")  # what schedules call the length of a run


def build_schedule(schedule: Callable[..., LRScheduler], optimizer: Optimizer, steps: int) -> LRScheduler:
    """The schedule, told the length of the run under whichever name it has for that, unless YAML has set it."""
    settings: dict[str, Any] = dict(getattr(schedule, "keywords", {}))
    accepted = inspect.signature(schedule).parameters
    filled = {name: steps for name in STEPS_ARGUMENTS if name in accepted and settings.get(name) is None}
    warmup = settings.get("num_warmup_steps")
    if isinstance(warmup, float) and warmup < 1:
        filled["num_warmup_steps"] = int(warmup * steps)
    return schedule(optimizer, **filled)


def warmup_stable_decay(
    optimizer: Optimizer,
    num_training_steps: Count,
    num_warmup_steps: NotNegative = 0.05,
    num_decay_steps: NotNegative = 0.2,
    decay_type: str = "1-sqrt",
    min_lr_ratio: Share = 0.0,
) -> LRScheduler:
    """Warm-up, a constant rate, and a decay at the end (arXiv:2404.06395, section 4.2), by transformers.

    Any length of run may branch off the constant part, which is what the schedule is for.

    Args:
        num_warmup_steps, num_decay_steps: steps; below 1 shares of the run.
        decay_type: "1-sqrt" (arXiv:2405.18392, equation 2), "linear" or "cosine".
        min_lr_ratio: where the decay ends, as a share of the rate.

    Raises:
        ValueError: warm-up and decay are longer than the run.
    """
    warmup, decay = (_steps(phase, num_training_steps) for phase in (num_warmup_steps, num_decay_steps))
    if warmup + decay > num_training_steps:
        raise ValueError(
            f"schedule: {warmup} steps of warm-up and {decay} of decay don't fit into {num_training_steps}; "
            "lower schedule.num_warmup_steps or schedule.num_decay_steps"
        )
    schedule: LRScheduler = get_wsd_schedule(
        optimizer, warmup, decay, num_training_steps, decay_type=decay_type, min_lr_ratio=min_lr_ratio
    )
    return schedule


def _steps(phase: float, whole: int) -> int:
    return round(phase * whole) if phase < 1 else int(phase)
