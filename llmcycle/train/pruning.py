"""What a search is told of a run at each look, and the end of one that has no hope."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from llmcycle.reporting import REPORTER, Pruned, Reporter
from llmcycle.train.judge import PREFIX, judge_of

VALIDATION_LOSS = "validation/loss"


class Pruning(pl.Callback):
    """Reports the judged score, or else the validation loss, at each look.

    Args:
        reporter: see `Reporter`.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.looks = self.step = 0  # how many there were, and when the last one was

    def state_dict(self) -> dict[str, Any]:
        return {"looks": self.looks, "step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.looks, self.step = state_dict["looks"], state_dict["step"]

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        judge, step = judge_of(trainer), trainer.global_step
        if judge is not None and judge.step == step and step > self.step:
            sign = -1.0 if judge.directions[judge.chosen] == "higher" else 1.0
            self.report(trainer, PREFIX + judge.chosen, sign)

    def on_validation_end(self, trainer: pl.Trainer, *_: object) -> None:
        if judge_of(trainer) is None and not trainer.sanity_checking and trainer.global_step > self.step:
            self.report(trainer, VALIDATION_LOSS, 1.0)

    def report(self, trainer: pl.Trainer, name: str, sign: float) -> None:
        """Report a value, the negative of one where more is better.

        Raises:
            Pruned: the run is to end.
        """
        values, last = trainer.callback_metrics, int(trainer.estimated_stepping_batches)
        if name not in values:
            return
        self.step, self.looks, value = trainer.global_step, self.looks + 1, float(values[name])
        if self.reporter(self.looks, sign * value) and self.step < last:
            raise Pruned(f"ended at step {self.step} of {last}: others were better there than {name} {value:.4g}")


def pruning(trainer: pl.Trainer) -> list[pl.Callback]:
    """The callback where a search is listening; the processes of one run would not end together."""
    reporter = REPORTER.get()
    return [Pruning(reporter)] if reporter is not None and trainer.world_size == 1 else []
