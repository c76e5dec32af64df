"""The callback that watches a policy by a second reward, and stops it when that one has passed its peak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytorch_lightning as pl
from torch import nn
from transformers import GenerationConfig

from llmcycle.data.batches import Rows
from llmcycle.data.chat import IGNORE
from llmcycle.data.encode import Columns, Row
from llmcycle.engine import Answer, Engine, TransformersEngine, seeded
from llmcycle.engine.generation import encode_prompts
from llmcycle.evaluate.evaluator import Evaluator
from llmcycle.evaluate.exact_match import REFERENCE_COLUMNS, reference
from llmcycle.evaluate.metric import Better, Metric, Metrics
from llmcycle.evaluate.reward import Reward, paid
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.quantities import Count, Positive
from llmcycle.train import best_weights
from llmcycle.train.bad_steps import say
from llmcycle.train.divergence import log_ratios
from llmcycle.train.judge import Judge
from llmcycle.train.learner import Learner
from llmcycle.train.logprobs import Reference
from llmcycle.train.peak import may_be_peak, peak, smoothed
from llmcycle.train.stored_reference import StoredReference

GOLD, PROXY, KL = "gold", "proxy", "kl"
BETTER: dict[str, Better] = {GOLD: "higher", PROXY: "neutral", KL: "neutral"}  # scores of a look


class OverOptimisation(Judge):
    """Asks the policy held-out prompts every so many steps: what its draws earn by the reward that it learns from, the
    proxy, and by another one, the gold reward, and how far it has come from the model before training, in nats.

    A policy that follows a reward too far gains by it and loses by what it stands for (arXiv:2210.10760). The gold
    reward is smoothed over neighbouring looks; once it has fallen from its peak by `patience` standard errors, training
    stops. The weights of the peak are handed on, be it the start, and rows that found it are left out of the stage's
    scores.

    Args:
        data: those of its `validation` rows are asked that come first.
        gold: the reward that says when to stop.
        proxy: the one that is followed; None for what the objective pays, if it pays for answers.
        every_n_steps: optimizer steps between two looks.
        rows: that are asked.
        answers: drawn to each, at temperature 1.
        max_new_tokens: of an answer.
        window: looks that one smoothed value is the mean of, odd.
        patience: standard errors of the fall from the peak, over rows.
        seed: of the draws.

    Attributes:
        golds: [looks, rows] the gold reward of each row, the mean of its answers.
        kept: digests of the weights that may yet be those of the peak, by step.
        reason: why it stopped; "" while it has not.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"answer", "score"})
    rows_need: ClassVar[Columns] = (("prompt",),)

    def __init__(
        self,
        data: Rows,
        gold: Reward,
        proxy: Reward | None = None,
        every_n_steps: Count = 10,
        rows: Count = 64,
        answers: Count = 4,
        max_new_tokens: Count = 32,
        window: Count = 3,
        patience: Positive = 3.0,
        seed: int = 0,
    ) -> None:
        self.preflight(window)
        super().__init__(every_n_steps, rows, GOLD)
        self.data, self.gold, self.proxy, self.seed = data, gold, proxy, seed
        self.window, self.patience = window, patience
        self.generation = GenerationConfig(
            do_sample=True, top_k=0, top_p=1.0, max_new_tokens=max_new_tokens, num_return_sequences=answers
        )
        self.golds: list[list[float]] = []
        self.kept: dict[int, str] = {}
        self.reason = ""

    @staticmethod
    def preflight(window: int = 3, **_: object) -> None:
        """Refuse, before anything is built, a window without a middle."""
        if window % 2 == 0:
            raise ValueError(f"window: {window} looks have none in their middle\n  try: window={window + 1}")

    @property
    def asked(self) -> Sequence[Row]:
        """The rows that find the peak."""
        return self.data.validation[: self.rows]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "golds": list(self.golds), "kept": dict(self.kept), "reason": self.reason}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.golds, self.kept = list(state_dict["golds"]), dict(state_dict["kept"])
        self.reason = state_dict["reason"]

    def open(self, root: Path, checkpoint: Path | None = None) -> None:
        """Say where weights are kept; those of the checkpoint that the run goes on from are put there."""
        super().open(root, checkpoint)
        if checkpoint is not None:
            for file in checkpoint.glob(file_of("*")):
                best_weights.link(checkpoint, root, file.name)

    def leave(self, folder: Path) -> None:
        """Put the weights that may be those of the peak into a checkpoint that is being written."""
        for step in self.kept:
            best_weights.link(self._root, folder, file_of(step))

    def begin(self, evaluators: Mapping[str, Evaluator], engine: Engine) -> None:  # noqa: ARG002  asked at the start
        """Know the rows that find the peak, before anything is scored.

        Raises:
            ValueError: there are none.
        """
        if not self.asked:
            raise ValueError("callbacks.over_optimisation.data: there is no validation row to ask; set data.holdout=64")
        self.judged = {digest for row in self.asked for digest in digests(row)}
        self.count = len(self.asked)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        """The policy is what it was before training, even where a checkpoint is about to be loaded."""
        assert isinstance(pl_module, Learner)
        own = pl_module.models.reference
        lasts = own is not None and (own.adapted or not isinstance(own, StoredReference))
        self.reference = own if own is not None and lasts else Reference(pl_module.models.policy)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The first look, unless the run goes on: then it may have been told to stop."""
        assert isinstance(pl_module, Learner)
        if not self.history:
            self.look(trainer, pl_module)
        trainer.should_stop = trainer.should_stop or bool(self.reason)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        looks = len(self.history)
        super().on_train_batch_end(trainer, module)
        if len(self.history) > looks and self.reason:
            trainer.should_stop = True
            say(f"stopped early at step {trainer.global_step}: {self.reason}", trainer)

    def ask(self, module: Learner, engine: TransformersEngine) -> dict[str, Scores]:
        """The scores of a look, one value a row: the mean over its answers."""
        rows = self.asked
        with seeded(self.seed + 1 + module.global_step, engine.model.device):
            groups = engine.answer([row["prompt"] for row in rows], self.generation)
        several = [row for row, group in zip(rows, groups, strict=True) for _ in group]
        answers = [answer for group in groups for answer in group]
        proxies = paid(self.proxy, several, answers) if self.proxy else module.objective.paid(several, answers)
        drawn = {GOLD: paid(self.gold, several, answers), PROXY: proxies, KL: self.ratios(engine, several, answers)}
        ids = [row_id(row["prompt"]) for row in rows]
        return {name: of_rows(name, values, ids) for name, values in drawn.items() if values is not None}

    def ratios(self, engine: TransformersEngine, rows: Sequence[Row], answers: Sequence[Answer]) -> list[float]:
        """Of each answer how much likelier it has become, in nats."""
        prompts = encode_prompts(engine.tokenizer, [row["prompt"] for row in rows])
        heads = [(ids, list(answer.token_ids)) for ids, answer in zip(prompts, answers, strict=True)]
        return log_ratios(engine, self.reference, [(a + b, [IGNORE] * len(a) + b) for a, b in heads])

    def settle(self, scores: Mapping[str, Scores]) -> dict[str, float]:
        """The means of what was scored."""
        rows, means = self.judged, super().settle(scores)
        self.judged = rows  # by every name that an evaluator may have for them
        self.golds.append(scores[GOLD].values)
        return means

    def remember(self, trainer: pl.Trainer, model: nn.Module, means: Mapping[str, float]) -> None:  # noqa: ARG002
        """Keep the weights of this look, drop those that can't be the peak any more, and see whether it is passed."""
        step, found = trainer.global_step, peak(self.golds, self.window)
        self.kept[step] = best_weights.write(model, self._root, file_of(step)) if trainer.is_global_zero else ""
        for gone in self.kept.keys() - {self.step_of(look) for look in may_be_peak(self.golds, self.window)}:
            del self.kept[gone]
            (self._root / file_of(gone)).unlink(missing_ok=True)
        at = self.history[found.look]
        self.best = {**at, "step": int(at["step"]), "score": found.value, "digest": self.kept[int(at["step"])]}
        if found.passed(self.patience):
            self.reason = (
                f"the gold reward has fallen by {found.fall:.3g} ± {found.error:.2g} from its peak, {found.value:.3g} "
                f"at step {at['step']:.0f}, {at[KL]:.3g} nats from the start"
            )

    def step_of(self, look: int) -> int:
        """When it was."""
        return int(self.history[look]["step"])

    @property
    def file(self) -> str:
        return file_of(self.best["step"])

    def finish(self, trainer: pl.Trainer, module: Learner) -> None:
        """After training: give the module the weights of the peak."""
        super().finish(trainer, module)
        for step in self.kept:
            (self._root / file_of(step)).unlink(missing_ok=True)

    def metrics(self) -> Metrics:
        """Where the peak was: its step, both rewards and the KL on the rows that found it."""
        start, found = self.history[0], {**self.best, GOLD: self.best["score"]}
        own = {
            f"judged_{name}": Metric(found[name], start[name], None, better, "nats" if name == KL else "", self.count)
            for name, better in BETTER.items()
            if name in start
        }
        return {**own, "best_step": Metric(self.best["step"])}

    def facts(self) -> dict[str, Any]:
        """As of any judge, and the curve over the KL."""
        means = smoothed(np.asarray(self.golds), self.window).mean(1).tolist()
        looks = zip(self.history, means, strict=True)
        points = [{**{name: look[name] for name in BETTER if name in look}, "smoothed": mean} for look, mean in looks]
        return {**super().facts(), "curve": {"over": KL, "points": points, "peak": self.best[KL]}}


def of_rows(name: str, values: Sequence[float], rows: list[str]) -> Scores:
    """One value a row, the mean over its answers."""
    means: list[float] = np.reshape(values, (len(rows), -1)).mean(1).tolist()
    return Scores(means, BETTER[name], "nats" if name == KL else "", rows=rows)


def digests(row: Row) -> set[str]:
    """The names that evaluators may have for a row."""
    answers = [reference(row, (column,)) for column in REFERENCE_COLUMNS if row.get(column) is not None]
    pair = (row[column] for column in ("chosen", "rejected") if column in row)
    return {row_id(row["prompt"], *rest) for rest in ((), ("",), tuple(pair), *((each,) for each in answers))}


def file_of(step: int | str) -> str:
    """Where the weights of a step are kept."""
    return f"look-{step}.safetensors"
