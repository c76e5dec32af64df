"""What objectives share that learn from the policy's own answers: prompts, draws and the rewards of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, cast

from llmcycle.align.dynamic import Draw, fill
from llmcycle.align.environment import Environment, converse
from llmcycle.align.rewards import Reward
from llmcycle.align.rollouts import Rollouts, Sampling, roll_out
from llmcycle.align.scoring import WeightedRewards, refuse_weights
from llmcycle.align.watching import AnswerTable
from llmcycle.data.encode import Row
from llmcycle.data.training_data import TrainingData
from llmcycle.engine import Answer, TransformersEngine
from llmcycle.evaluate.reward import arguments
from llmcycle.quantities import Count, CountOrZero
from llmcycle.train import Models, Objective
from llmcycle.train.logprobs import Through, as_it_is
from llmcycle.train.models import POLICY, REFERENCE
from llmcycle.train.objective import Batch
from llmcycle.train.shared_prompts import refuse_shared, sharing

APART = 1_000_003  # between the seeds of several draws for one step


class OwnAnswers(Objective):
    """A policy on batches of the `Prompts` encoder, which answers and is told what the answers are worth.

    Args:
        reward: scores answers, one or several by name; sees the row's prompt and other columns.
        sampling: how answers are drawn.
        updates: optimizer steps on the same answers; past the first, the prompts of the batch go unused.
        weights: of several rewards, by name; 1 where there is none.
        environment: makes what talks to the policy after an answer; None for answers of one turn.
        turns: of the policy at most, where there is an environment.
        table_every: batches of answers between two that are kept to be read; 0 for none.
        share_prompts: the answers to a prompt stand in one row behind it where they are scored, so that it is read
            once; each is read as if the others were not there, which is proved on the first answers.
        seed: of the answers drawn.

    Attributes:
        steps: batches so far; a resumed run draws what is due, not again.
        table: answers that were kept.
    """

    reads = "prompts"
    roles: ClassVar[tuple[str, ...]] = (POLICY, REFERENCE)
    comparable = False  # its loss depends on the answers that it draws

    def __init__(
        self,
        reward: Reward | Mapping[str, Reward],
        sampling: Sampling,
        updates: Count = 1,
        weights: Mapping[str, float] | None = None,
        environment: Callable[[], Environment] | None = None,
        turns: Count = 2,
        table_every: CountOrZero = 10,
        share_prompts: bool = False,
        seed: int = 0,
    ) -> None:
        self.reward, self.sampling = WeightedRewards(reward, weights), sampling
        self.updates, self.seed = updates, seed
        self.environment, self.turns = environment, turns
        self.share_prompts, self.proved = share_prompts, False
        self.table, self.steps = AnswerTable(table_every), 0

    @staticmethod
    def preflight(
        reward: Mapping[str, Any],
        weights: Mapping[str, float] | None = None,
        sampling: Mapping[str, Any] | None = None,
        environment: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Refuse, before anything is built, rewards that are not there and an environment that all answers share."""
        if environment and not environment.get("_partial_"):
            reason = (
                "a new one is made for every answer, and this would be made once (an option says `_partial_: true`)"
            )
            raise ValueError(f"environment: {reason}\n  try: environment=null")
        by_name = {} if "_target_" in reward else reward
        refuse_weights(weights or {}, by_name)
        refuse_metric((sampling or {}).get("metric"), (sampling or {}).get("rounds", 1), by_name)

    def begin(self, models: Models, batches: TrainingData) -> None:
        """Take the rows, whose columns the reward sees, and the tokenizer."""
        self.rows, self.tokenizer, self.data, self.device = batches.rows, batches.tokenizer, batches, models.device
        self.prompts = list(batches.train) if self.sampling.rounds > 1 else []

    def state_dict(self) -> dict[str, Any]:
        """How far it has come."""
        return {"steps": self.steps, "table": self.table.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        self.steps, self.table.rows = state["steps"], state["table"]

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The answers that were kept."""
        return {"rollouts": self.table.rows}

    def drawn(self, models: Models, batch: Batch, seed: int, logprobs: bool = False) -> tuple[Draw, int]:
        """Scored answers to a batch of prompts, and the draws that they took."""

        def draw(number: int, prompts: Batch) -> Draw:
            split = self.rows.train if models.training else self.rows.validation
            rows = [split[i] for i in prompts["index"].tolist()]
            rollouts = self.answered(models, prompts, rows, seed + number * APART, logprobs)
            return Draw(rollouts, self.scores(rollouts, rows))

        first, rounds = draw(0, batch), 1
        if models.training and self.sampling.rounds > 1:
            first, rounds = fill(
                first,
                lambda number: draw(number, self.further(len(batch["index"]), seed, number)),
                self.sampling.group_size,
                self.sampling.rounds,
                self.sampling.metric,
                cast(int, self.tokenizer.pad_token_id),
            )
        if models.training:
            self.table.keep(self.steps, self.updates, first.rollouts, first.scores, self.tokenizer)
        return first, rounds

    def answered(
        self, models: Models, prompts: Batch, rows: list[dict[str, Any]], seed: int, logprobs: bool
    ) -> Rollouts:
        """The policy's answers to prompts, in one turn or in several."""
        engine = TransformersEngine(models.policy, self.tokenizer)
        if self.environment is None:
            return roll_out(engine, prompts, self.sampling, seed, logprobs)
        return converse(engine, prompts, rows, self.sampling, seed, self.environment, self.turns, logprobs)

    def through(self, models: Models, answers: Batch) -> Through:
        """What gives a model's forward pass for some answers.

        Raises:
            ValueError: this model does not read shared rows as if each answer were alone.
        """
        if not self.share_prompts:
            return as_it_is
        if not self.proved:
            refuse_shared(models, answers)
            self.proved = True
        return sharing(answers)

    def further(self, count: int, seed: int, number: int) -> Batch:
        """Some prompts of the training rows, by draw."""
        draws = Random(f"{seed} {number}")
        batch = self.data.collate(draws.sample(self.prompts, min(count, len(self.prompts))))
        return {name: tensor.to(self.device) for name, tensor in batch.items()}

    def scores(self, rollouts: Rollouts, rows: list[dict[str, Any]]) -> dict[str, list[float]]:
        """Of each reward by name, one value for each of the B answers to the prompts of `rows`."""
        asked = [row for row in rows for _ in range(self.sampling.group_size)]
        return self.reward(**arguments(asked, rollouts.texts, rollouts.completion_ids))

    def paid(self, rows: Sequence[Row], answers: Sequence[Answer]) -> list[float]:
        """The weighted sum of the rewards of one answer to each row."""
        texts, ids = [answer.text for answer in answers], [list(answer.token_ids) for answer in answers]
        scored = self.reward(**arguments(rows, texts, ids))
        return [sum(values) for values in zip(*scored.values(), strict=True)]


def refuse_metric(metric: str | None, rounds: int, rewards: Mapping[str, Any]) -> None:
    """ValueError for a metric that is no reward, or that nothing asks for."""
    if metric is not None and metric not in rewards:
        known = f"one of {', '.join(rewards)} is" if rewards else "one reward alone has no name, and none is"
        near = next(iter(rewards), "null")
        raise ValueError(f"sampling: there is no reward `{metric}`; {known} needed\n  try: sampling.metric={near}")
    if metric is not None and rounds == 1:
        reason = "`metric` says whose answers differ, and with one round no other prompts are drawn"
        raise ValueError(f"sampling: {reason}\n  try: sampling.rounds=3")
