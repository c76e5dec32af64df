"""What a run's values were over its steps, kept for the report, also across an interruption."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytorch_lightning as pl

from llmcycle.train.learner import Learner

FILE = "curves.json"  # in a stage's folder: see `Curves.write`
MOST = 400  # points of a whole run; a longer one has them further apart
TRAIN, VALIDATION = "train/", "validation/"

Point = dict[str, float]  # "step" and values by name


class Curves(pl.Callback):
    """Keeps the values that a stage logs, at the trainer's `log_every_n_steps` and at the last step.

    The loss of a point is the mean of the steps since the point before; all other values are those of its step.
    """

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.resumed: list[int] = []
        self._step = self._losses = 0

    def on_train_start(self, trainer: pl.Trainer, *_: object) -> None:
        """A resumed run is marked where it goes on."""
        self._step = trainer.global_step
        if self._step:
            self.resumed.append(self._step)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        assert isinstance(module, Learner)
        step = trainer.global_step
        if step == self._step:
            return  # between the batches that one step gathers
        self._step = step
        every = max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]
        if step % every == 0 or step == trainer.max_steps:
            new = module.losses[min(self._losses, len(module.losses) - 1) :]  # fewer after weights were put back
            self._losses = len(module.losses)
            self.add({"step": step, **logged(trainer, TRAIN), "loss": fmean(map(float, new))})

    def on_validation_end(self, trainer: pl.Trainer, *_: object) -> None:
        values = {f"{VALIDATION}{name}": value for name, value in logged(trainer, VALIDATION).items()}
        if not trainer.sanity_checking and values:
            self.add({"step": trainer.global_step, **values})

    def add(self, point: Point) -> None:
        """Keep a point; steps that a run has gone back behind are forgotten, those of one step are one."""
        same = [old for old in self.points if old["step"] == point["step"]]
        self.points = [old for old in self.points if old["step"] < point["step"]]
        self.points.append({**(same[0] if same else {}), **point})
        if len(self.points) > MOST:
            self.points = spaced(self.points, self.points[-1]["step"] * 2 / MOST)

    def state_dict(self) -> dict[str, Any]:
        return {"points": self.points, "resumed": self.resumed, "losses": self._losses}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.points, self.resumed = list(state_dict["points"]), list(state_dict["resumed"])
        self._losses = state_dict["losses"]

    def write(self, out: Path) -> None:
        """`out`/curves.json: {"points": [{"step", NAME: value}], "resumed": steps}."""
        out.mkdir(parents=True, exist_ok=True)
        (out / FILE).write_text(json.dumps({"points": self.points, "resumed": self.resumed}), "utf-8")


def spaced(points: list[Point], gap: float) -> list[Point]:
    """Points that are at least so many steps apart, the first and the last among them."""
    chosen = points[:1]
    for point in points[1:-1]:
        if point["step"] - chosen[-1]["step"] >= gap:
            chosen.append(point)
    return [*chosen, points[-1]]


def logged(trainer: pl.Trainer, prefix: str) -> dict[str, float]:
    """The values that were logged under a prefix, without it."""
    values = trainer.callback_metrics
    return {name.removeprefix(prefix): float(value) for name, value in values.items() if name.startswith(prefix)}
