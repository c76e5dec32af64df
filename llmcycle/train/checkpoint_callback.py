"""The callback that saves while training, goes on from what was saved, and leaves in good order when told to."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from llmcycle.quantities import Count
from llmcycle.train import checkpoint_folder, random_state
from llmcycle.train.checkpoint_folder import STATE, Checkpoint
from llmcycle.train.signals import Interrupted, Signals


class Checkpoints(pl.Callback):
    """Saves between optimizer steps: every so many of them, at the end, and when a signal asks the run to stop.

    A checkpoint holds everything that the next step depends on: weights (those that are trained), optimizer, schedule,
    loop counts, the loader's position, callbacks, and of each process every global random state. It must be the last of
    the callbacks, so that it saves what the others have become.

    Args:
        every_n_steps: optimizer steps between two checkpoints.
        keep: how many stay on the disk.
    """

    def __init__(self, every_n_steps: Count = 200, keep: Count = 2) -> None:
        if every_n_steps < 1 or keep < 1:
            raise ValueError("callbacks.checkpoint: every_n_steps and keep are at least 1")
        self.every_n_steps, self.keep = every_n_steps, keep
        self.root: Path | None = None
        self.last: Checkpoint | None = None
        self.signals = Signals()
        self._random: dict[str, Any] | None = None

    def open(self, root: Path, resume: str, *, quiet: bool = False) -> Checkpoint | None:
        """Say where checkpoints are, and find the one to go on from: see `llmcycle.train.checkpoint_folder.choose`."""
        self.root = root
        self.last = checkpoint_folder.choose(
            resume, root, lambda reason: None if quiet else print(reason, file=sys.stderr)
        )
        if self.last is not None and not quiet:
            print(f"going on from step {self.last.step}: {self.last.folder}", file=sys.stderr)
        return self.last

    def on_train_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Lightning has put its own handlers in place by now."""
        self.signals.listen()
        if self.last is not None:
            self._random = self._saved_random(self.last, trainer)

    def on_train_batch_start(self, *_: object) -> None:
        """Only here has everything that draws on the way to the first step been done."""
        if self._random is not None:
            random_state.restore(self._random)
            self._random = None

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Where a validation follows, saving waits for its end: a resumed run would leave it out."""
        if between_steps(trainer) and not validation_follows(trainer):
            self.save_if_due(trainer)

    def on_validation_end(self, trainer: pl.Trainer, *_: object) -> None:
        if not trainer.sanity_checking and between_steps(trainer):
            self.save_if_due(trainer)

    def save_if_due(self, trainer: pl.Trainer) -> None:
        """Save at the interval and at the end; save and leave when a process of this run has received a signal."""
        step = trainer.global_step
        signal = agreed(self.signals.received, trainer)
        due = step % self.every_n_steps == 0 or step == trainer.max_steps or signal
        if due and (self.last is None or self.last.step != step) and self.good(trainer):
            self.save(trainer)
        if signal:
            if trainer.is_global_zero:
                saved = f"the same command goes on from step {self.last.step}" if self.last else "nothing was saved"
                print(f"stopped after step {step}; {saved}", file=sys.stderr)
            raise Interrupted(128 + signal)

    def good(self, trainer: pl.Trainer) -> bool:
        """Whether the state is worth keeping: no callback is in the middle of bad steps, and weights are numbers."""
        in_doubt = any(getattr(callback, "in_doubt", False) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        return not in_doubt and finite(trainer.lightning_module)

    def save(self, trainer: pl.Trainer) -> None:
        """Write a checkpoint of this moment; all processes take part.

        Raises:
            ValueError: it could not be written; the last one is as it was.
        """
        if self.root is None:
            return
        step = trainer.global_step
        try:
            self._write(trainer, self.root, step)
        except (OSError, RuntimeError) as error:  # torch's writers raise RuntimeError for a full disk
            shutil.rmtree(self.root / f".partial-{step:08d}", ignore_errors=True)
            raise ValueError(self._complaint(step, error)) from error

    def _write(self, trainer: pl.Trainer, root: Path, step: int) -> None:
        folder = root / f".partial-{step:08d}"
        if trainer.is_global_zero:
            checkpoint_folder.begin(root, step)
        trainer.strategy.barrier("checkpoint begun")
        trainer.save_checkpoint(folder / STATE, weights_only=False)
        (folder / random_file(trainer.global_rank)).write_text(json.dumps(random_state.capture()), "utf-8")
        trainer.strategy.barrier("checkpoint written")
        facts = {"world_size": trainer.world_size, "batches": consumed(trainer)}
        if trainer.is_global_zero:
            for leave in self.leavers(trainer):
                leave(folder)
            self.last = checkpoint_folder.commit(folder, root, step, facts)
            checkpoint_folder.prune(root, self.keep)
        else:
            self.last = Checkpoint(checkpoint_folder.place(root, step), step, facts)
        trainer.strategy.barrier("checkpoint committed")

    def leavers(self, trainer: pl.Trainer) -> list[Callable[[Path], None]]:
        """Of callbacks with files of their own, what puts these into a checkpoint."""
        methods = (getattr(callback, "leave", None) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        return [leave for leave in methods if leave is not None]

    def _complaint(self, step: int, error: Exception) -> str:
        places = {"outputs": self.root if self.root and self.root.exists() else Path.cwd(), "TMPDIR": temporary()}
        free = {name: shutil.disk_usage(place).free for name, place in places.items()}
        least = min(free, key=lambda name: free[name])  # Lightning writes to TMPDIR first, and moves the file
        last = f"the last one, {self.last.folder}, is as it was" if self.last else "there is none yet"
        return (
            f"the checkpoint of step {step} could not be written to {self.root}: {error}; "
            f"{places[least]} has {free[least] / 2**20:.1f} MB free; {last}. "
            f"Make room there or choose another {least}, then type the same command to go on"
        )

    def _saved_random(self, source: Checkpoint, trainer: pl.Trainer) -> dict[str, Any] | None:
        """This process's saved state; None for a process that the saved run did not have: it keeps its fresh one."""
        path = source.folder / random_file(trainer.global_rank)
        return json.loads(path.read_text("utf-8")) if path.exists() else None


def temporary() -> Path:
    """Where files are written that are moved later; a full disk has no room even to try."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path(os.environ.get("TMPDIR") or "/tmp")


def random_file(rank: int) -> str:
    """Where the process keeps its random states."""
    return f"random-{rank}.json"


def consumed(trainer: pl.Trainer) -> int:
    """Batches that training has used up, whatever was read ahead."""
    progress: Any = trainer.fit_loop.epoch_loop.batch_progress
    return int(progress.total.processed)


def between_steps(trainer: pl.Trainer) -> bool:
    """Whether no gradient is waiting for more batches."""
    return consumed(trainer) % trainer.accumulate_grad_batches == 0


def validation_follows(trainer: pl.Trainer) -> bool:
    """Whether Lightning validates after this batch."""
    loop: Any = trainer.fit_loop
    return bool(loop.epoch_loop._should_check_val_fx(loop._data_fetcher))


def finite(module: torch.nn.Module) -> bool:
    """Whether all trained weights are numbers."""
    return all(bool(torch.isfinite(p).all()) for p in module.parameters() if p.requires_grad)


def agreed(value: int, trainer: pl.Trainer) -> int:
    """The largest of all processes' values."""
    if trainer.world_size == 1:
        return value
    return int(trainer.strategy.reduce(torch.tensor(value, device=trainer.strategy.root_device), reduce_op="max"))
