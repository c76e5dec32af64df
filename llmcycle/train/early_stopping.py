"""Early stopping by the validation loss or by a judged score; the reason is told, and kept over an interruption."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason

from llmcycle.train.bad_steps import say
from llmcycle.train.judge import PREFIX, judge_of


class EarlyStopping(pl.callbacks.EarlyStopping):
    """Lightning's, which looks after each validation, or after each time that the model is judged.

    Args:
        monitor: `validation/loss`, with trainer=validated, or `judged/NAME`, with callbacks=judged.
        patience: looks in a row without an improvement.
        min_delta: what counts as one.
        mode: "min" or "max", the better end of the monitored value.
    """

    def __init__(
        self, monitor: str = "validation/loss", patience: int = 3, min_delta: float = 0.0, mode: str = "min"
    ) -> None:
        super().__init__(monitor, min_delta=min_delta, patience=patience, mode=mode, check_on_train_epoch_end=False)
        self.judged = monitor.startswith(PREFIX)
        self.checked = -1  # the step of the last look

    @property
    def reason(self) -> str:
        """Why it stopped; "" while it has not."""
        if self.stopping_reason is EarlyStoppingReason.PATIENCE_EXHAUSTED:
            least = f" by more than {abs(self.min_delta):g}" if self.min_delta else ""
            way = "fallen" if self.mode == "min" else "risen"
            return f"{self.monitor} has not {way}{least} in {self.wait_count} looks; its best was {self.best_score:.4g}"
        return "" if self.stopping_reason is EarlyStoppingReason.NOT_STOPPED else f"{self.monitor} is no number"

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "checked": self.checked}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.checked = state_dict["checked"]

    def on_train_start(self, trainer: pl.Trainer, *_: object) -> None:
        """

        Raises:
            ValueError: nothing will ever measure what is monitored, or its better end is the other one.
        """
        judge = judge_of(trainer)
        if self.judged and judge is None:
            raise ValueError(
                f"callbacks.early_stopping.monitor={self.monitor}: it needs callbacks=early_stopping_judged"
            )
        if self.judged and judge is not None:
            self.refuse_other(judge.directions)
        if not self.judged and not trainer.limit_val_batches:
            raise ValueError(f"callbacks.early_stopping.monitor={self.monitor}: it needs trainer=validated")
        trainer.should_stop = trainer.should_stop or bool(
            self.reason
        )  # a run that was interrupted after it had been told to stop

    def refuse_other(self, directions: Mapping[str, str]) -> None:
        """ValueError where no such score is judged, or where its other end is the better one."""
        better = directions.get(self.monitor.removeprefix(PREFIX))
        if directions and better is None:
            known = ", ".join(PREFIX + name for name in directions)
            raise ValueError(f"callbacks.early_stopping.monitor={self.monitor}: choose one of {known}")
        if directions and better != {"min": "lower", "max": "higher"}[self.mode]:
            raise ValueError(f"callbacks.early_stopping.mode={self.mode}: {self.monitor} is better when {better}")

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        judge, step = judge_of(trainer), trainer.global_step
        if self.judged and judge is not None and judge.step == step and step > self.checked:
            self.check(trainer)

    def on_validation_end(self, trainer: pl.Trainer, *_: object) -> None:
        if not self.judged and not trainer.sanity_checking:
            self.check(trainer)

    def check(self, trainer: pl.Trainer) -> None:
        """Stop the run if it has not improved for too long."""
        self.checked = trainer.global_step
        self._run_early_stopping_check(trainer)
        if self.reason:
            say(f"stopped early at step {trainer.global_step}: {self.reason}", trainer)
