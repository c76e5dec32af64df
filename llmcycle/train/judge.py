"""The callback that lets a model's answers be scored while it learns, and keeps the weights that scored best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from llmcycle.data.training_data import TrainingData
from llmcycle.engine import Engine, TransformersEngine
from llmcycle.evaluate.evaluator import Evaluator, evaluate, limited
from llmcycle.evaluate.metric import Better, Metric, Metrics
from llmcycle.evaluate.scores import Scores, without
from llmcycle.quantities import Count
from llmcycle.train import best_weights, random_state
from llmcycle.train.checkpoint_callback import between_steps
from llmcycle.train.learner import Learner

PREFIX = "judged/"  # of the scores' names for loggers and other callbacks


class Judge(pl.Callback):
    """Scores the model every so many steps, and at the end, as the recipe's evaluators do; training takes no notice.

    Where the best weights are kept, those are handed on. Then the rows that chose them are left out of the stage's
    scores: the best of several scores on the same rows is too good by chance.

    Args:
        every_n_steps: optimizer steps between two looks.
        rows: the first so many rows of each evaluator are asked; None for all.
        monitor: the score that decides what is best; None for the first evaluator's first.
        keep: "best" hands on the weights that scored best, of equals the earliest; "last" the last.
        evaluators: by name; None for the recipe's own.

    Attributes:
        history: {"step", NAME: score, ...} of each look; that of step 0 is before training.
        judged: digests of the rows that were asked.
    """

    def __init__(
        self,
        every_n_steps: Count = 50,
        rows: Count | None = 32,
        monitor: str | None = None,
        keep: str = "best",
        evaluators: Mapping[str, Evaluator] | None = None,
    ) -> None:
        if every_n_steps < 1 or (rows is not None and rows < 1) or keep not in ("best", "last"):
            raise ValueError("callbacks.judge: every_n_steps and rows are at least 1, and keep is best or last")
        self.every_n_steps, self.rows, self.monitor, self.keep = every_n_steps, rows, monitor, keep
        self.evaluators: Mapping[str, Evaluator] = dict(evaluators or {})
        self.history: list[dict[str, float]] = []
        self.judged: set[str] = set()
        self.best: dict[str, Any] = {}  # "step", "score" and the "digest" of the file that holds the weights
        self.chosen, self.count = monitor or "", 0
        self.directions: dict[str, Better] = {}
        self._root = Path()

    @property
    def step(self) -> int:
        """The step of the last look; -1 before the first."""
        return int(self.history[-1]["step"]) if self.history else -1

    @property
    def file(self) -> str:
        """Where the best weights are kept."""
        return best_weights.FILE

    def state_dict(self) -> dict[str, Any]:
        return {"history": list(self.history), "best": dict(self.best)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history, self.best = list(state_dict["history"]), dict(state_dict["best"])

    def open(self, root: Path, checkpoint: Path | None = None) -> None:
        """Say where the best weights are kept; those of the checkpoint that the run goes on from are put there."""
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        if checkpoint is not None:
            best_weights.link(checkpoint, root)

    def leave(self, folder: Path) -> None:
        """Put the best weights into a checkpoint that is being written, so that both are always of one moment."""
        if self.best:
            best_weights.link(self._root, folder)

    def begin(self, evaluators: Mapping[str, Evaluator], engine: Engine) -> None:
        """Look before training.

        Args:
            evaluators: the recipe's own, taken where the callback has none.

        Raises:
            ValueError: there is none, one has no limit on its rows, or none gives the monitored score.
        """
        self.evaluators = self.evaluators or evaluators
        if not self.evaluators:
            raise ValueError("callbacks.judge: there is nothing to judge with; choose `evaluate`, e.g. exact_match")
        drawn = random_state.capture()
        self.history = [{"step": 0, **self.settle(self.score(engine))}]
        random_state.restore(drawn)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        assert isinstance(module, Learner)
        step = trainer.global_step
        due = step % self.every_n_steps == 0 or step == trainer.max_steps
        if due and step > self.step and between_steps(trainer):
            with module.pace.paused():
                self.look(trainer, module)

    def look(self, trainer: pl.Trainer, module: Learner) -> None:
        """Score the model as it is now, and keep its weights if it is the best so far; all processes take part."""
        drawn = random_state.capture()
        model = module.gathered()
        batches: TrainingData = trainer.datamodule  # type: ignore[attr-defined]
        scores: dict[str, Scores] = {}
        if trainer.is_global_zero:
            scores = self.ask(module, TransformersEngine(model, batches.tokenizer, batches.eval_batch_size))
        random_state.restore(drawn)
        means = self.settle(trainer.strategy.broadcast(scores))
        self.history.append({"step": trainer.global_step, **means})
        if self.keep == "best":
            self.remember(trainer, model, means)
        self.publish(trainer, means)

    def remember(self, trainer: pl.Trainer, model: nn.Module, means: Mapping[str, float]) -> None:
        """Keep the weights if they are the best so far."""
        if self.is_best(means):
            digest = best_weights.write(model, self._root) if trainer.is_global_zero else ""
            self.best = {"step": trainer.global_step, "score": means[self.chosen], "digest": digest}

    def ask(self, module: Learner, engine: TransformersEngine) -> dict[str, Scores]:  # noqa: ARG002
        """The scores of a look while training."""
        return self.score(engine)

    def score(self, engine: Engine) -> dict[str, Scores]:
        """The scores on the rows that are judged."""
        evaluators = {name: limited(name, evaluator, self.rows) for name, evaluator in self.evaluators.items()}
        return evaluate(evaluators, engine)

    def settle(self, scores: Mapping[str, Scores]) -> dict[str, float]:
        """The means of what was scored; which rows it stands on, and which score decides.

        Raises:
            ValueError: the monitored score is none of them.
        """
        self.directions = {name: each.better for name, each in scores.items() if each.better != "neutral"}
        self.chosen = self.monitor or next(iter(self.directions), "")
        if self.chosen not in self.directions:
            known = ", ".join(self.directions)
            raise ValueError(f"callbacks.judge.monitor: no evaluator scores {self.chosen}; choose one of {known}")
        self.count = len(scores[self.chosen].values)
        self.judged = {row for each in scores.values() for row in each.rows or ()}
        return {name: each.mean for name, each in scores.items()}

    def is_best(self, means: Mapping[str, float]) -> bool:
        """Whether this look is better than all before, that of step 0 aside."""
        sign = -1 if self.directions[self.chosen] == "lower" else 1
        before: float = self.best.get("score", -sign * math.inf)
        return sign * means[self.chosen] > sign * before  # never for NaN

    def publish(self, trainer: pl.Trainer, means: Mapping[str, float]) -> None:
        """Tell loggers, the progress line and early stopping."""
        named = {PREFIX + name: score for name, score in means.items()}
        trainer.callback_metrics.update({name: torch.tensor(score) for name, score in named.items()})
        for logger in trainer.loggers:
            logger.log_metrics(named, step=trainer.global_step)

    def finish(self, trainer: pl.Trainer, module: Learner) -> None:
        """After training: give the module the best weights if they are kept. The first process alone does this.

        Raises:
            ValueError: the file of the best weights is not the one that was written.
        """
        if self.best and self.best["step"] != trainer.global_step:
            best_weights.restore(module.model, self._root, self.best["digest"], self.file)
        (self._root / self.file).unlink(missing_ok=True)

    def facts(self) -> dict[str, Any]:
        """What is written of the looks."""
        looks = {"monitor": self.chosen, "best": self.best or None, "looks": self.history}
        return {**looks, "rows": self.count}

    def fresh(self, scores: Mapping[str, Scores]) -> dict[str, Scores]:
        """The scores on rows that have not chosen what is handed on.

        Raises:
            ValueError: the monitored score would stand on none.
        """
        left = without(scores, self.judged) if self.keep == "best" else dict(scores)
        if self.chosen in scores and self.chosen not in left:
            raise ValueError(
                f"callbacks.judge.rows={self.rows}: all {self.count} rows of {self.chosen} choose the best weights, "
                "and none is left to score them on; lower it, raise data.holdout, or set callbacks.judge.keep=last"
            )
        return left

    def metrics(self) -> Metrics:
        """The step of the weights that are handed on, and their score on the rows that chose them."""
        if not self.best:
            return {}
        better, start = self.directions[self.chosen], self.history[0][self.chosen]
        score = Metric(self.best["score"], start, better=better, n=self.count)
        return {f"judged_{self.chosen}": score, "best_step": Metric(self.best["step"])}


def judge_of(trainer: pl.Trainer) -> Judge | None:
    """The run's judge, if it has one."""
    return next((callback for callback in trainer.callbacks if isinstance(callback, Judge)), None)  # type: ignore[attr-defined]
