"""Everything that interrupted, killed, damaged and spoilt runs must survive, at full count, as a table.

python tests/bench/trust.py [resume recipes processes kills policy_kills damage bad_steps]    25 minutes on two cores
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise, product
from pathlib import Path
from random import Random
from unittest.mock import patch

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "train")]

import pytorch_lightning as pl
import test_processes
import test_resume_recipes
import torch
from conftest import byte_tokenizer
from killed import RESULT, digest, ended, forked, killed, train
from tiny_run import STEPS, Spoilt, Stopped, batches, module, run, same

from llmcycle.data.storefront import LookUp
from llmcycle.train import checkpoint_folder
from llmcycle.train.fit import bad_step_metrics
from llmcycle.train.stage_scores import validation_scores

Row = tuple[str, int, int, str]  # what, how many held, of how many, remark
CPU = torch.device("cpu")
LONG = 24  # steps of a run that is interrupted at 20 places


def resume(folder: Path) -> Iterator[Row]:
    """20 points of interruption for each way of being fed."""
    for workers, accumulate, packed in product((0, 2), (1, 4), (True, False)):
        feed = (byte_tokenizer(), workers, packed)
        place = folder / f"{workers}-{accumulate}-{packed}"
        whole, held = run(place / "whole", batches(*feed), accumulate, max_steps=LONG), 0
        points = sorted(Random(0).sample(range(LONG * accumulate), 20))
        for point in points:
            with contextlib.suppress(Stopped):
                run(place / str(point), batches(*feed), accumulate, point, max_steps=LONG)
            held += same(run(place / str(point), batches(*feed), accumulate, max_steps=LONG), whole)
        yield (
            f"resume: {workers} workers, accumulation {accumulate}, {'packed' if packed else 'padded'}",
            held,
            len(points),
            "",
        )


def recipes(folder: Path) -> Iterator[Row]:
    """5 points of interruption, in the middle of a batch, for every recipe that trains."""
    os.chdir(folder)
    test_resume_recipes.lay_out(folder)
    for recipe in test_resume_recipes.SMALL:
        place = folder / recipe.replace(" ", "_").replace("=", "_")
        with patch.object(LookUp, "step", lambda *_: "The catalogue says so."):
            differing = test_resume_recipes.differing(recipe, place, test_resume_recipes.POINTS)
        yield f"resume: {recipe}", 5 - len(differing), 5, ""


def processes(folder: Path) -> Iterator[Row]:
    """5 interruptions of two DDP processes by SIGTERM."""
    os.chdir(folder)
    options = ("trainer=ddp", "trainer.max_steps=40", "trainer.precision=32-true")
    whole, held = test_processes.pretrain("whole", *options), 0
    for point in range(5):
        every = f"callbacks.checkpoint.every_n_steps={3 + 2 * point}"
        test_processes.stopped(str(point), *options, every)
        held += test_processes.same(whole, test_processes.pretrain(str(point), *options, every))
    yield "resume: two DDP processes", held, 5, ""


def kills(folder: Path) -> Iterator[Row]:
    """50 kill -9 in runs of a few kills each, half of them in a slowed save."""
    (folder / "whole").mkdir()
    whole, done, saving, runs, equal = train(folder / "whole"), 0, 0, 0, 0
    while done < 50:
        count, inside, found = killed(folder / str(runs), seed=runs, kills=min(5, 50 - done))
        done, saving, runs, equal = done + count, saving + inside, runs + 1, equal + (found == whole)
    yield (
        f"kill -9, {done} times in {runs} runs, {saving} in a save",
        equal,
        runs,
        "runs that ended with the same hash",
    )


class Noted(pl.Callback):
    """Writes down each step that is begun."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        with self.path.open("a") as said:
            said.write(f"{trainer.global_step}\n")


def policy(folder: Path, attempt: int) -> str:
    """The digest of a run of PPO that saves every step, and writes down those that an attempt at it begins."""
    torch.set_num_threads(1)
    options = f"trainer.max_steps={2 * LONG}", "callbacks.checkpoint.every_n_steps=1"
    noted = Noted(folder / f"steps-{attempt}")
    return digest(test_resume_recipes.run("ppo", folder / "checkpoints", *options, watching=[noted]))


def policy_kills(folder: Path) -> Iterator[Row]:
    """10 kill -9 at random moments of one PPO run, which is begun again by the same call each time."""
    os.chdir(folder)
    test_resume_recipes.lay_out(folder)
    for name in ("whole", "cut"):
        (folder / name).mkdir()
    begun = time.monotonic()
    whole, seconds = policy(folder / "whole", 0), time.monotonic() - begun
    cut, draw, kills = folder / "cut", Random(0), 10

    def attempt(number: int) -> int:
        return forked(lambda: (cut / RESULT).write_text(policy(cut, number)) and None, cut / "log.txt")

    for number in range(kills):
        longest = seconds / kills  # so that the run ends after the last of them
        if ended(attempt(number), (cut / f"steps-{number}").exists, draw.uniform(0, longest)):
            break
    else:
        os.waitpid(attempt(kills), 0)
    attempts = len(list(cut.glob("steps-*")))
    steps = [[int(line) for line in (cut / f"steps-{i}").read_text().split()] for i in range(attempts)]
    equal = (cut / RESULT).read_text() == whole
    yield (
        f"kill -9 at {kills} moments of PPO: weights, critic, optimiser",
        int(equal),
        1,
        "the hash of one never killed",
    )
    kept = sum(after[0] >= before[-1] for before, after in pairwise(steps))
    yield "of these kills, lost at most the step that they fell into", kept, kills, f"steps begun: {steps}"


def damage(folder: Path) -> Iterator[Row]:
    """40 truncations and 200 single-bit flips over every kind of file."""
    run(folder, batches(byte_tokenizer(), 0, packed=True))
    files = ["state.ckpt", "random-0.json", checkpoint_folder.MANIFEST]
    for what, count, spoil in (("truncations", 40, truncate), ("bit flips", 200, flip)):
        refused = 0
        for number in range(count):
            path = checkpoint_folder.place(folder, STEPS) / files[number % len(files)]
            whole = path.read_bytes()
            path.write_bytes(spoil(whole, Random(number)))
            found = checkpoint_folder.newest(folder, lambda _: None)
            refused += found is not None and found.step < STEPS
            path.write_bytes(whole)
        yield f"damage: {what} refused, the older checkpoint taken", refused, count, ""


def truncate(whole: bytes, draw: Random) -> bytes:
    """Some of the beginning."""
    return whole[: draw.randrange(len(whole))]


def flip(whole: bytes, draw: Random) -> bytes:
    """One bit changed."""
    changed, bit = bytearray(whole), draw.randrange(8 * len(whole))
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def bad_steps(folder: Path) -> Iterator[Row]:
    """NaN, infinite and 100-fold, in the loss and in the gradient, at 5 places."""
    data = batches(byte_tokenizer(), 0, packed=False)
    start = validation_scores(module(), data, CPU)["validation_loss"].mean
    for factor, gradient in product((math.nan, math.inf, 100.0), (False, True)):
        held, losses = 0, []
        for place in (5, 12, 19, 26, 33):
            trained = module(Spoilt, factor=factor, steps=[place], gradient=gradient)
            run(folder / f"{factor}-{gradient}-{place}", data, trained=trained, max_steps=40)
            losses.append(validation_scores(trained, data, CPU)["validation_loss"].mean)
            counted = [metric.value for metric in bad_step_metrics(trained.trainer).values()]
            held += counted == [1, 0] and losses[-1] < start
        remark = f"held-out loss {start:.2f} -> at most {max(losses):.2f}"
        yield f"bad step: {factor} in the {'gradient' if gradient else 'loss'}", held, 5, remark


SUITES: dict[str, Callable[[Path], Iterator[Row]]] = {
    each.__name__: each for each in (resume, recipes, processes, kills, policy_kills, damage, bad_steps)
}


def main(names: list[str]) -> int:
    """Run the suites and print a line for each of their rows; 1 if one did not hold."""
    failed = 0
    for name in names or list(SUITES):
        with tempfile.TemporaryDirectory() as folder:
            rows, begun = SUITES[name](Path(folder)), time.monotonic()
            while True:
                with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
                    row = next(rows, None)
                if row is None:
                    break
                failed += row[1] != row[2]
                print(f"{row[0]:62} {row[1]:3} of {row[2]:3}  {row[3]}  [{time.monotonic() - begun:.0f} s]", flush=True)
            os.chdir(Path(__file__).parent)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
