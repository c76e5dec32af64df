"""How much a run has read, and how fast."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Pace:
    """What one process has done since it began to train.

    Args:
        started, worked: when it began, on the clocks of `time.perf_counter` and `time.process_time`.
        seconds, processor_seconds: until the end of training; work of other processes makes the latter no longer.
        tokens, rows: that all processes together have read, padding not counted.
    """

    started: float = field(default_factory=time.perf_counter)
    worked: float = field(default_factory=time.process_time)
    seconds: float = 0.0
    processor_seconds: float = 0.0
    tokens: Tensor | int = 0
    rows: int = 0

    @property
    def tokens_per_second(self) -> float:
        """Up to now, or over the whole of a run that has ended."""
        return float(self.tokens) / max(self.seconds or time.perf_counter() - self.started, 1e-9)

    def end(self) -> None:
        """Training is over."""
        self.seconds = time.perf_counter() - self.started
        self.processor_seconds = time.process_time() - self.worked

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done inside is no training."""
        started, worked = time.perf_counter(), time.process_time()
        yield
        self.started += time.perf_counter() - started
        self.worked += time.process_time() - worked


def count_tokens(batch: Mapping[str, Tensor]) -> Tensor | int:
    """Tokens of a batch that are not padding: by its mask, else up to each row's last label, else all."""
    if "attention_mask" in batch:
        return batch["attention_mask"].sum()
    if "labels" not in batch:
        return batch["input_ids"].numel()
    places = torch.arange(1, batch["labels"].shape[1] + 1, device=batch["labels"].device)
    return (places * (batch["labels"] >= 0)).max(1).values.sum()
