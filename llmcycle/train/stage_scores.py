"""What a stage scores before and after training, and what it writes of the looks between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from llmcycle.data.loader import labelled
from llmcycle.data.training_data import TrainingData
from llmcycle.engine import Engine, evaluation_mode
from llmcycle.evaluate.evaluator import Evaluator, evaluate
from llmcycle.evaluate.metric import Metrics
from llmcycle.evaluate.scores import Scores
from llmcycle.train.early_stopping import EarlyStopping
from llmcycle.train.judge import judge_of
from llmcycle.train.learner import Learner
from llmcycle.train.over_optimisation import OverOptimisation

FILE = "judging.json"


class StageScores:
    """The recipe's evaluators around a run, and its judge and its early stopping within, where it has them."""

    def __init__(self, trainer: pl.Trainer, evaluators: Mapping[str, Evaluator]) -> None:
        self.trainer, self.evaluators = trainer, evaluators
        self.judge = judge_of(trainer)

    def before(self, engine: Engine) -> dict[str, Scores]:
        """The scores before training, and the judge's first look.

        Raises:
            ValueError: the judge has nothing to look at, or would leave no row to score the best weights on.
        """
        if self.judge is not None:
            self.judge.begin(self.evaluators, engine)
        return self.scores(engine)

    def scores(self, engine: Engine) -> dict[str, Scores]:
        """The evaluators' scores, on rows that have not chosen what is handed on."""
        scores = evaluate(self.evaluators, engine)
        return self.judge.fresh(scores) if self.judge else scores

    def finish(self, module: Learner, out: Path) -> Metrics:
        """Put the best weights in place, and write `out`/judging.json: all looks, the best, and why the run stopped."""
        stoppers = self.stoppers()
        if self.judge is None and not stoppers:
            return {}
        reasons = {name: reason for name, reason in stoppers.items() if reason}
        facts: dict[str, Any] = {"stopped": next(iter(reasons.values()), None), "by": next(iter(reasons), None)}
        if self.judge is not None:
            self.judge.finish(self.trainer, module)
            facts |= self.judge.facts()
        out.mkdir(parents=True, exist_ok=True)
        (out / FILE).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
        return self.judge.metrics() if self.judge else {}

    def stoppers(self) -> dict[str, str]:
        """Callbacks that may end a run, and why they did; "" where they did not."""
        callbacks: list[pl.Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        stopping = [each for each in callbacks if isinstance(each, EarlyStopping | OverOptimisation)]
        name = {True: "early_stopping", False: "over_optimisation"}
        return {name[isinstance(each, EarlyStopping)]: each.reason for each in stopping}


def validation_scores(module: Learner, batches: TrainingData, device: torch.device) -> dict[str, Scores]:
    """`validation_loss`: what training minimises, on one batch of validation rows; nothing where it means nothing.

    One value a row, weighted by its labelled tokens where it has labels of its own.
    """
    examples = batches.validation[: batches.eval_batch_size] if module.objective.comparable else []
    weights = [float(labelled(example)) if {"labels", "labelled"} & example.keys() else 1.0 for example in examples]
    if not any(weights):
        return {}
    with evaluation_mode(module.model), torch.no_grad():
        losses = [
            _loss(module, batches, example, device) if w else 0.0 for example, w in zip(examples, weights, strict=True)
        ]
    return {"validation_loss": Scores(losses, "lower", weights=weights)}


def _loss(module: Learner, batches: TrainingData, example: dict[str, Any], device: torch.device) -> float:
    batch = {name: tensor.to(device) for name, tensor in batches.collate([example]).items()}
    return float(module.loss(batch)[0])
