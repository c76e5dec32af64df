"""Warm-up, stable, decay: its phases by hand."""

from __future__ import annotations

from functools import partial
from math import sqrt
from typing import Any

import pytest
import torch
from torch import nn

from llmcycle.train.schedules import build_schedule, warmup_stable_decay


def rates(steps: int, **options: Any) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = build_schedule(partial(warmup_stable_decay, **options), optimizer, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("phases", [(0.2, 0.4), (2, 4)], ids=["shares", "steps"])
def test_the_phases(phases: tuple[float, float]) -> None:
    found = rates(10, num_warmup_steps=phases[0], num_decay_steps=phases[1])
    expected = [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, *(1 - sqrt(step / 4) for step in range(4))]
    assert found == pytest.approx(expected)


def test_a_longer_run_is_the_same_until_the_shorter_one_decays() -> None:
    short, long = (rates(n, num_warmup_steps=2, num_decay_steps=4) for n in (10, 20))
    assert short[:6] == long[:6]


def test_linear_decay_ends_at_its_floor() -> None:
    found = rates(10, num_warmup_steps=0, num_decay_steps=5, decay_type="linear", min_lr_ratio=0.5)
    assert found[5:] == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6])


def test_phases_longer_than_the_run_are_refused() -> None:
    with pytest.raises(ValueError, match="8 steps of warm-up and 4 of decay don't fit into 10"):
        rates(10, num_warmup_steps=8, num_decay_steps=4)
