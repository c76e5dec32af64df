"""One line of progress: rate, time left and loss. Moves on a terminal, plain lines when piped."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TextIO

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.utilities.types import STEP_OUTPUT

from llmcycle.surroundings import ARMS
from llmcycle.train.judge import PREFIX

REDRAW_SECONDS = 0.25
COLUMNS = 80  # of a terminal that does not say
PLAIN_LINES = 4  # lines of a whole run when its output is piped


class Progress(ProgressBar):
    """Counts optimiser steps on standard error.

    Args:
        title: what stands in front of the line, e.g. the stage.
        stream: where the line goes; standard error by default.
    """

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        super().__init__()
        self.title, self.stream = title, stream or sys.stderr
        self.enabled = True
        self._start = self._drawn = 0.0
        self._first = self._printed = 0

    def disable(self) -> None:
        """Silent on every process but the first."""
        self.enabled = False

    def enable(self) -> None:
        self.enabled = True

    def on_train_start(self, trainer: pl.Trainer, *_: object) -> None:
        """A resumed run starts at the step that it had reached."""
        self._start = time.perf_counter()
        self._first = self._printed = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: STEP_OUTPUT, *_: object
    ) -> None:
        if self.enabled and self._due(trainer.global_step, int(trainer.estimated_stepping_batches)):
            self._write(self.line(trainer, module, outputs))

    def on_train_end(self, *_: object) -> None:
        """Leaves the terminal's line empty for what comes next."""
        if self.enabled and self.stream.isatty():
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def on_exception(self, *_: object) -> None:
        self.on_train_end()

    def line(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: STEP_OUTPUT) -> str:
        """E.g. `pretrain 120/900 steps, 9.8 steps/s, 10.0k tokens/s, 0:01:20 left, loss 1.23, norm 0.8, lr 3e-03`."""
        step, total = trainer.global_step, int(trainer.estimated_stepping_batches)
        rate = (step - self._first) / (time.perf_counter() - self._start)
        left = timedelta(seconds=round((total - step) / rate)) if rate else "unknown time"
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        tail = "" if loss is None else f", loss {float(loss) * trainer.accumulate_grad_batches:.3f}"
        pace = getattr(module, "pace", None)
        tokens = f", {pace.tokens_per_second / 1000:.1f}k tokens/s" if pace else ""
        values = trainer.callback_metrics
        norm = f", norm {float(values['train/grad_norm']):.2g}" if "train/grad_norm" in values else ""
        lr = f", lr {float(values['train/lr']):.1e}" if "train/lr" in values else ""
        scores = (f", {key.removeprefix(PREFIX)} {values[key]:.3g}" for key in values if key.startswith(PREFIX))
        judged = next(scores, "")
        return f"{self.title} {step}/{total} steps, {rate:.1f} steps/s{tokens}, {left} left{tail}{norm}{lr}{judged}"

    def _due(self, step: int, total: int) -> bool:
        if self.stream.isatty():
            now = time.perf_counter()
            due = now - self._drawn >= REDRAW_SECONDS
            self._drawn = now if due else self._drawn
            return due
        if ARMS in os.environ:
            return False  # a sweep tells a line an arm
        quarter = max(1, total // PLAIN_LINES)
        due = step > self._printed and (step == total or (step % quarter == 0 and total - step >= quarter))
        self._printed = step if due else self._printed
        return due

    def _write(self, line: str) -> None:
        self.stream.write(f"\r\x1b[K{fitting(line, width(self.stream))}" if self.stream.isatty() else f"{line}\n")
        self.stream.flush()


def width(stream: TextIO) -> int:
    """Columns of the terminal that a stream writes to."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or COLUMNS
    except (OSError, ValueError):  # it has no terminal of its own
        return COLUMNS


def fitting(line: str, columns: int) -> str:
    """As many of a line's parts as stay clear of the last column, where a terminal may begin another line."""
    while len(line) >= columns and ", " in line:
        line = line.rpartition(", ")[0]
    return line[: columns - 1]
