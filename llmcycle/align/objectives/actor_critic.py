"""PPO: a policy and a critic that foretells what an answer will earn, trained side by side."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from llmcycle.align.advantages import GAE
from llmcycle.align.experience import Experience, rows_of, token_rewards
from llmcycle.align.losses import token_mean
from llmcycle.align.objectives.policy import Policy
from llmcycle.quantities import CountOrZero, NotNegative, Positive
from llmcycle.train import Models
from llmcycle.train.logprobs import completion_mask
from llmcycle.train.models import POLICY, REFERENCE
from llmcycle.train.objective import Batch, Loss

CRITIC = "critic"


class ActorCritic(Policy):
    """Proximal policy optimisation, arXiv:1707.06347 and arXiv:2203.02155, on batches of the `Prompts` encoder.

    The learner needs a model as `critic`, which is trained beside the policy and not handed on.

    Args:
        advantage: from the rewards of tokens and the critic's values.
        value_weight: of the critic's loss beside the policy's.
        value_clip: how far a value may move from what it was when the answers were sampled; None for any distance.
        warmup: steps in which the critic alone learns.
        policy: the further arguments of `Policy`.
    """

    roles = (POLICY, REFERENCE, CRITIC)
    trains = (POLICY, CRITIC)

    def __init__(
        self,
        advantage: GAE,
        value_weight: Positive = 0.5,
        value_clip: NotNegative | None = 0.2,
        warmup: CountOrZero = 0,
        **policy: Any,
    ) -> None:
        super().__init__(advantage=advantage, **policy)
        self.gae, self.value_weight, self.value_clip, self.warmup = advantage, value_weight, value_clip, warmup

    def loss(self, models: Models, batch: Batch) -> Loss:
        """The policy's loss and the critic's; beside what a policy logs, `value_loss` and `explained_variance`."""
        experience, places = self.experience_for(models, batch)
        loss, seen = self.loss_of(models, experience, places)
        if models.training and self.steps <= self.warmup:
            loss = 0.0 * loss  # every trained weight keeps a gradient, which processes reduce together
        answers = {name: rows_of(value, places) for name, value in experience.rollouts.batch.items()}
        mask, returns = completion_mask(answers), rows_of(experience.returns, places)
        values, before = values_of(models, answers), rows_of(experience.values, places)
        value_loss = token_mean(self.errors(values, before, returns), mask)
        explained = explained_variance(before[mask], returns[mask])
        seen |= {"value_loss": value_loss.detach(), "explained_variance": explained}
        return loss + self.value_weight * value_loss, seen

    def errors(self, values: Tensor, before: Tensor, returns: Tensor) -> Tensor:
        """[B, T]: half the squared error, the larger one of the value and of the clipped value."""
        errors = (values - returns) ** 2
        if self.value_clip is not None:
            near = before + (values - before).clamp(-self.value_clip, self.value_clip)
            errors = torch.maximum(errors, (near - returns) ** 2)
        return 0.5 * errors

    def compare(self, models: Models, experience: Experience, penalty: Tensor | None) -> None:
        """Advantages of tokens, and the returns that the critic is to foretell."""
        mask = completion_mask(experience.rollouts.batch)
        with torch.no_grad():
            values = values_of(models, experience.rollouts.batch) * mask
        tokens = token_rewards(experience.rewards, penalty, mask)
        experience.values = values
        experience.returns = self.gae.raw(tokens, values, mask) + values
        experience.advantages = self.gae(tokens, values, mask)


def values_of(models: Models, answers: Batch) -> Tensor:
    """[B, T - 1]: what the critic expects before each token of some answers."""
    critic: Any = models.critic
    logits = critic(input_ids=answers["input_ids"], attention_mask=answers["attention_mask"]).logits
    values: Tensor = logits.float().squeeze(-1)[:, :-1]
    return values


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """1 - Var(returns - values) / Var(returns): 1 for a critic that knows, 0 for one that gives a constant."""
    spread = returns.var(correction=0)
    return torch.where(spread > 0, 1 - (returns - values).var(correction=0) / spread.clamp(min=1e-12), 0.0)
