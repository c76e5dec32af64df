"""Reinforcement learning: a policy answers, rewards score, and a loss makes the better answers likelier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from llmcycle.align.advantages import Advantage
from llmcycle.align.losses import PolicyLoss, k3
from llmcycle.align.rewards import Reward
from llmcycle.align.rollouts import Rollouts, Sampling, roll_out
from llmcycle.align.scoring import WeightedRewards, refuse_weights
from llmcycle.data.training_data import TrainingData
from llmcycle.engine import TransformersEngine
from llmcycle.quantities import Count
from llmcycle.train import Models, Objective
from llmcycle.train.logprobs import completion_mask, token_logprobs
from llmcycle.train.objective import Batch, Loss

# What a reward is called with, by name: a column of the data that has such a name is left out, as TRL does.
ARGUMENTS = {"self", "prompt", "prompts", "completions", "completion_ids"}


@dataclass
class Experience:
    """Scored rollouts: B answers of up to T tokens.

    Args:
        rewards, advantages: [B]; the sum of all rewards.
        parts: the mean of each reward by name, weighted, where there are several.
        ref_logprobs: [B, T - 1] under the reference.
        old_logprobs: [B, T - 1] under the policy that sampled: that of the first update.
    """

    rollouts: Rollouts
    rewards: Tensor
    advantages: Tensor
    ref_logprobs: Tensor
    old_logprobs: Tensor | None = None
    parts: dict[str, float] = field(default_factory=dict)


class Policy(Objective):
    """A policy on batches of the `Prompts` encoder.

    Args:
        loss: of answers with their log-probabilities and advantages, e.g. GRPO.
        reward: scores answers, one or several by name; sees the row's prompt and other columns.
        sampling: how answers are drawn.
        advantage: what an answer's reward is worth beside those of its group.
        updates: optimizer steps on the same answers; past the first, the prompts of the batch go unused and the ratio
            clip has work to do.
        weights: of several rewards, by name; 1 where there is none.
        seed: of the answers drawn.

    Attributes:
        experience: the answers that are being learnt from.
        steps: batches so far; a resumed run draws what is due, not again.
    """

    reads = "prompts"
    roles = ("policy", "reference")
    comparable = False  # its loss depends on the answers that it draws

    def __init__(
        self,
        loss: PolicyLoss,
        reward: Reward | Mapping[str, Reward],
        sampling: Sampling,
        advantage: Advantage,
        updates: Count = 1,
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self.policy_loss, self.sampling, self.advantage = loss, sampling, advantage
        self.reward = WeightedRewards(reward, weights)
        self.updates, self.seed = updates, seed
        self.experience: Experience | None = None
        self.steps = 0

    @staticmethod
    def preflight(reward: Mapping[str, Any], weights: Mapping[str, float] | None = None, **_: object) -> None:
        """Refuse, before anything is built, weights of rewards that are not there."""
        refuse_weights(weights or {}, {} if "_target_" in reward else reward)

    def begin(self, models: Models, batches: TrainingData) -> None:  # noqa: ARG002
        """Take the rows, whose columns the reward sees, and the tokenizer."""
        self.rows, self.tokenizer = batches.rows, batches.tokenizer

    def state_dict(self) -> dict[str, Any]:
        """Answers that are not yet used up came from weights which are gone by now."""
        pending = self.experience if self.steps % self.updates else None
        return {"steps": self.steps, "experience": None if pending is None else asdict(pending)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        self.steps = state["steps"]
        if (saved := state["experience"]) is not None:
            self.experience = Experience(**{**saved, "rollouts": Rollouts(**saved["rollouts"])})

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Loss; mean reward, KL to the reference in nats a token, tokens an answer and share of answers that ended."""
        experience = self.experience_for(models, batch)
        answers = experience.rollouts.batch
        mask = completion_mask(answers)
        logprobs = token_logprobs(
            models.policy, answers, self.sampling.temperature, chunk=models.loss_chunk, run=models.run
        )
        if experience.old_logprobs is None:
            experience.old_logprobs = logprobs.detach()
        loss = self.policy_loss(logprobs, experience.old_logprobs, experience.ref_logprobs, experience.advantages, mask)
        kl = k3(logprobs.detach(), experience.ref_logprobs)
        return loss, {
            "reward": experience.rewards.mean(),
            **{f"reward_{name}": torch.tensor(mean) for name, mean in experience.parts.items()},
            "kl": (kl * mask).sum() / mask.sum(),
            "length": mask.sum(1).float().mean(),
            "ended": torch.tensor(experience.rollouts.ended),
        }

    def experience_for(self, models: Models, batch: Batch) -> Experience:
        """Fresh answers to the batch's prompts, or in training the ones at hand until they had their `updates`."""
        if not models.training:
            return self.sample(models, batch, seed=self.seed)
        if self.experience is None or self.steps % self.updates == 0:
            self.experience = self.sample(models, batch, seed=self.seed + 1 + self.steps)
        self.steps += 1
        return self.experience

    def sample(self, models: Models, batch: Batch, seed: int) -> Experience:
        """Sample, score and compare."""
        assert models.reference is not None
        rollouts = roll_out(TransformersEngine(models.policy, self.tokenizer), batch, self.sampling, seed)
        rows = self.rows.train if models.training else self.rows.validation
        scored = self.scores(rollouts, [rows[i] for i in batch["index"].tolist()])
        sums = [sum(values) for values in zip(*scored.values(), strict=True)]
        rewards = torch.tensor(sums, dtype=torch.float32, device=batch["index"].device)
        return Experience(
            rollouts=rollouts,
            rewards=rewards,
            advantages=self.advantage(rewards, self.sampling.group_size),
            ref_logprobs=models.reference.token_logprobs(rollouts.batch, self.sampling.temperature),
            parts={name: fmean(values) for name, values in scored.items()} if len(scored) > 1 else {},
        )

    def scores(self, rollouts: Rollouts, rows: list[dict[str, Any]]) -> dict[str, list[float]]:
        """Of each reward by name, one value for each of the B answers to the prompts of `rows`.

        A reward sees every column that a row has, and None of one that another row has.
        """
        asked = [row for row in rows for _ in range(self.sampling.group_size)]
        names = dict.fromkeys(name for row in rows for name in row)  # the sources of a mixture differ in them
        columns = {name: [row.get(name) for row in asked] for name in names if name not in ARGUMENTS}
        prompts, ids = [row["prompt"] for row in asked], rollouts.completion_ids
        return self.reward(prompts=prompts, completions=rollouts.texts, completion_ids=ids, **columns)
