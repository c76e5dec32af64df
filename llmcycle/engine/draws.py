"""Random draws that neither depend on what was drawn before nor change what is drawn afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Random numbers from `seed` inside; torch's generators go on outside as if nothing had been drawn.

    Args:
        device: whose generator is used beside the CPU's; None for that of the current GPU, where there is one.
    """
    with torch.random.fork_rng(None if device is None else [device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
