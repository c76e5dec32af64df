"""Reinforcement learning: a policy answers, rewards score, and a loss makes the better answers likelier."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from llmcycle.align.losses import PolicyLoss, group_advantages, k3
from llmcycle.align.rewards import Reward
from llmcycle.align.rollouts import Rollouts, Sampling, roll_out
from llmcycle.data.batches import Batches
from llmcycle.quantities import Count
from llmcycle.train import Models, Objective
from llmcycle.train.logprobs import completion_mask, token_logprobs
from llmcycle.train.objective import Batch, Loss


@dataclass
class Experience:
    """Scored rollouts: B answers of up to T tokens.

    Args:
        rewards, advantages: [B].
        ref_logprobs: [B, T - 1] under the reference.
        old_logprobs: [B, T - 1] under the policy that sampled: that of the first update.
    """

    rollouts: Rollouts
    rewards: Tensor
    advantages: Tensor
    ref_logprobs: Tensor
    old_logprobs: Tensor | None = None


class Policy(Objective):
    """A policy on batches of the `Prompts` encoder.

    Args:
        loss: of answers with their log-probabilities and advantages, e.g. GRPO.
        reward: scores answers; sees the row's prompt and other columns.
        sampling: how answers are drawn.
        updates: optimizer steps on the same answers; past the first, the prompts of the batch go unused and the ratio
            clip has work to do.
        normalise: divide a group's advantages by their standard deviation.
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
        reward: Reward,
        sampling: Sampling,
        updates: Count = 1,
        normalise: bool = True,
        seed: int = 0,
    ) -> None:
        self.policy_loss, self.reward, self.sampling = loss, reward, sampling
        self.updates, self.normalise, self.seed = updates, normalise, seed
        self.experience: Experience | None = None
        self.steps = 0

    def begin(self, models: Models, batches: Batches) -> None:  # noqa: ARG002
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
        rollouts = roll_out(models.policy, self.tokenizer, batch, self.sampling, seed)
        rows = self.rows.train if models.training else self.rows.validation
        rewards = self.rewards(rollouts, [rows[i] for i in batch["index"].tolist()]).to(batch["index"].device)
        return Experience(
            rollouts=rollouts,
            rewards=rewards,
            advantages=group_advantages(rewards, self.sampling.group_size, self.normalise),
            ref_logprobs=models.reference.token_logprobs(rollouts.batch, self.sampling.temperature),
        )

    def rewards(self, rollouts: Rollouts, rows: list[dict[str, Any]]) -> Tensor:
        """[B] rewards of the answers to the prompts of `rows`."""
        columns = {name: [row[name] for row in rows for _ in range(self.sampling.group_size)] for name in rows[0]}
        scores = self.reward(prompts=columns.pop("prompt"), completions=rollouts.texts, **columns)
        return torch.tensor(scores, dtype=torch.float32)
