"""Training processes that are killed, some of them in a save, until one reaches the end. Used by tests and bench."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch
from conftest import byte_tokenizer
from tiny_run import batches, run
from torch import Tensor
from torch.utils._pytree import tree_leaves

from llmcycle.train import Learner, checkpoint_folder

STEPS = 40
RESULT, SAVING = "result.txt", "saving"


def digest(trained: Learner) -> str:
    """Of all losses, and of every bit of the weights of all models, of the optimiser and of the objective's state."""
    optimizers = [optimizer.state_dict() for optimizer in trained.trainer.optimizers]
    state = trained.losses, trained.models.state_dict(), optimizers, trained.objective.state_dict()
    found = hashlib.sha256()
    for leaf in tree_leaves(state):
        found.update(leaf.detach().numpy().tobytes() if isinstance(leaf, Tensor) else repr(leaf).encode())
    return found.hexdigest()


def train(folder: Path, slow_save: float = 0.0, steps: int = STEPS) -> str:
    """The digest of a run that saves every second step and puts a dot in a file when it does."""

    def dawdle(path: Path) -> None:
        with (folder / SAVING).open("a") as said:
            said.write(".")
        time.sleep(max(slow_save, 0.02))
        flush(path)

    flush = checkpoint_folder.sync_all
    checkpoint_folder.sync_all = dawdle
    try:
        torch.set_num_threads(1)
        return digest(run(folder / "checkpoints", batches(byte_tokenizer(), 0, packed=False), max_steps=steps))
    finally:
        checkpoint_folder.sync_all = flush


def forked(work: Callable[[], None], log: Path) -> int:
    """Do `work` in a child of this process; gives its id at once."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout = sys.stderr = os.fdopen(descriptor, "w", buffering=1)  # a test has put its own in their place
        work()
        code = 0
    except SystemExit as left:
        code = int(left.code or 0)
    finally:
        os._exit(code)


def saved(folder: Path) -> int:
    """How many saves the run in `folder` has begun."""
    path = folder / SAVING
    return path.stat().st_size if path.exists() else 0


def attempt(folder: Path, draw: Random, in_save: bool) -> bool:
    """Start a run and kill it after some saves, in the last one if asked; whether it had ended before that."""
    folder.mkdir(exist_ok=True)
    (folder / SAVING).unlink(missing_ok=True)

    def work() -> None:
        (folder / RESULT).write_text(train(folder, 0.3 if in_save else 0.0))

    child = forked(work, folder / "log.txt")
    saves = draw.randint(1, 3)
    return ended(child, lambda: saved(folder) >= saves, draw.uniform(0, 0.25 if in_save else 0.05))


def ended(child: int, ready: Callable[[], bool], delay: float) -> bool:
    """Kill a child some seconds after it is ready; whether it had ended before that."""
    while not ready():
        if os.waitpid(child, os.WNOHANG)[0]:
            return True
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    return not os.WIFSIGNALED(os.waitpid(child, 0)[1])


def killed(folder: Path, seed: int, kills: int) -> tuple[int, int, str]:
    """Kill a run up to `kills` times, every second time in a save; then let it end. Kills, those in saves, digest."""
    draw, done, saving = Random(seed), 0, 0
    for number in range(kills):
        in_save = (number + seed) % 2 == 1
        if attempt(folder, draw, in_save):
            break
        done, saving = done + 1, saving + in_save
    else:
        child = forked(lambda: (folder / RESULT).write_text(train(folder)) and None, folder / "log.txt")
        os.waitpid(child, 0)
    return done, saving, (folder / RESULT).read_text()
