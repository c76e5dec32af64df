"""Reinforcement learning: a policy answers, a reward source scores, GRPO makes the better answers likelier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from peft import PeftConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel

from llmcycle.align.logprobs import Reference, completion_mask, token_logprobs
from llmcycle.align.losses import GRPO, group_advantages, k3
from llmcycle.align.rewards import Reward
from llmcycle.align.rollouts import Rollouts, Sampling, roll_out
from llmcycle.data.batches import Batches
from llmcycle.train import TrainedModule

EXPERIENCE = "experience"  # where a checkpoint keeps answers that are still to be learnt from


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


class Policy(TrainedModule):
    """Trains a policy on batches of the `Prompts` encoder.

    Args:
        reward: scores answers; sees the row's prompt and other columns.
        sampling: how answers are drawn.
        updates: optimizer steps on the same answers; past the first, the prompts of the batch go unused and the ratio
            clip has work to do.
        normalise: divide a group's advantages by their standard deviation.
        seed: of the answers drawn.
    """

    comparable = False  # its loss depends on the answers that it draws

    def __init__(
        self,
        model: PreTrainedModel,
        loss: GRPO,
        reward: Reward,
        sampling: Sampling,
        optim: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        peft: PeftConfig | None = None,
        updates: int = 1,
        normalise: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(model, optim, schedule, peft)
        self.objective, self.reward, self.sampling = loss, reward, sampling
        self.updates, self.normalise, self.seed = updates, normalise, seed
        self.reference = Reference(self.model)
        self.experience: Experience | None = None
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))  # a resumed run draws what is due, not again

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook. Answers that are not yet used up came from weights which are gone by now."""
        super().on_save_checkpoint(checkpoint)
        pending = self.experience if self.steps % self.updates else None
        checkpoint[EXPERIENCE] = None if pending is None else asdict(pending)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook."""
        super().on_load_checkpoint(checkpoint)
        if (saved := checkpoint[EXPERIENCE]) is not None:
            self.experience = Experience(**{**saved, "rollouts": Rollouts(**saved["rollouts"])})

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss; mean reward, KL to the reference in nats a token, tokens an answer and share of answers that ended."""
        experience = self.experience_for(batch)
        mask = completion_mask(experience.rollouts.batch)
        logprobs = token_logprobs(self.model, experience.rollouts.batch, self.sampling.temperature)
        if experience.old_logprobs is None:
            experience.old_logprobs = logprobs.detach()
        loss = self.objective(logprobs, experience.old_logprobs, experience.ref_logprobs, experience.advantages, mask)
        kl = k3(logprobs.detach(), experience.ref_logprobs)
        return loss, {
            "reward": experience.rewards.mean(),
            "kl": (kl * mask).sum() / mask.sum(),
            "length": mask.sum(1).float().mean(),
            "ended": torch.tensor(experience.rollouts.ended),
        }

    def experience_for(self, batch: dict[str, Tensor]) -> Experience:
        """Fresh answers to the batch's prompts, or in training the ones at hand until they had their `updates`."""
        if not self.training:
            return self.sample(batch, seed=self.seed)
        if self.experience is None or self.steps % self.updates == 0:
            self.experience = self.sample(batch, seed=self.seed + 1 + int(self.steps))
        self.steps += 1
        return self.experience

    def sample(self, batch: dict[str, Tensor], seed: int) -> Experience:
        """Sample, score and compare."""
        batches: Batches = self.trainer.datamodule  # type: ignore[attr-defined]
        rollouts = roll_out(self.model, batches.tokenizer, batch, self.sampling, seed)
        rows = batches.rows.train if self.training else batches.rows.validation
        found = self.rewards(rollouts, [rows[i] for i in batch["index"].tolist()])
        return Experience(
            rollouts=rollouts,
            rewards=found,
            advantages=group_advantages(found, self.sampling.group_size, self.normalise),
            ref_logprobs=self.reference.token_logprobs(rollouts.batch, self.sampling.temperature),
        )

    def rewards(self, rollouts: Rollouts, rows: Sequence[dict[str, Any]]) -> Tensor:
        """[B] rewards of the answers to the prompts of `rows`."""
        columns = {name: [row[name] for row in rows for _ in range(self.sampling.group_size)] for name in rows[0]}
        scores = self.reward(prompts=columns.pop("prompt"), completions=rollouts.texts, **columns)
        return torch.tensor(scores, dtype=torch.float32, device=self.device)
