"""Reinforcement learning: a policy answers, rewards score, and a loss makes the better answers likelier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from llmcycle.align.advantages import Advantage, TokenAdvantage, is_for_tokens
from llmcycle.align.dynamic import Draw
from llmcycle.align.experience import Experience, part_of, rows_of, token_rewards
from llmcycle.align.kl import AdaptiveWeight, estimate
from llmcycle.align.losses import PolicyLoss
from llmcycle.align.objectives.own_answers import OwnAnswers
from llmcycle.align.watching import Scored, seen
from llmcycle.quantities import Count, NotNegative, Positive
from llmcycle.train import Models
from llmcycle.train.logprobs import completion_mask, entropy, token_logprobs_with
from llmcycle.train.objective import Batch, Loss


class Policy(OwnAnswers):
    """A policy on batches of the `Prompts` encoder.

    Args:
        loss: of answers with their log-probabilities and advantages, e.g. clipped ratios.
        advantage: what an answer's reward is worth beside others.
        minibatches: parts of the answers, of which each update reads one: `updates` / `minibatches` are PPO's epochs.
            Past the first update the ratio clip has work to do.
        entropy_bonus: weight of the mean entropy of the next token, in units of reward per nat.
        correction: answers are weighed by how much likelier the policy finds them than the engine that drew them, at
            most by this (truncated importance sampling, arXiv:2510.18927); None trusts the engine.
        own_answers: the further arguments of `OwnAnswers`.

    Attributes:
        experience: the answers that are being learnt from.
    """

    def __init__(
        self,
        loss: PolicyLoss,
        advantage: Advantage | TokenAdvantage,
        minibatches: Count = 1,
        entropy_bonus: NotNegative = 0.0,
        correction: Positive | None = None,
        **own_answers: Any,
    ) -> None:
        super().__init__(**own_answers)
        self.policy_loss, self.advantage, self.minibatches = loss, advantage, minibatches
        self.entropy_bonus, self.correction = entropy_bonus, correction
        self.weight = AdaptiveWeight(loss.beta, loss.kl_target, loss.kl_horizon)
        self.experience: Experience | None = None

    @staticmethod
    def preflight(
        reward: Mapping[str, Any],
        weights: Mapping[str, float] | None = None,
        sampling: Mapping[str, Any] | None = None,
        environment: Mapping[str, Any] | None = None,
        updates: int = 1,
        minibatches: int = 1,
        **_: Any,
    ) -> None:
        """Refuse, before anything is built, weights of rewards that are not there, and answers that no step reads."""
        OwnAnswers.preflight(reward, weights, sampling, environment)
        if updates < minibatches:
            reason = f"with fewer updates ({updates}) some answers would never be read"
            raise ValueError(f"minibatches: {reason}\n  try: updates={minibatches}")

    @property
    def needs_reference(self) -> bool:
        """Not without a weight of the KL."""
        return self.policy_loss.needs_reference(self.policy_loss.beta)

    def state_dict(self) -> dict[str, Any]:
        """Answers that are not yet used up came from weights which are gone by now."""
        pending = self.experience if self.steps % self.updates else None
        own = {"weight": self.weight.weight, "experience": None if pending is None else pending.state()}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        super().load_state_dict(state)
        self.weight.weight = state["weight"]
        if (saved := state["experience"]) is not None:
            self.experience = Experience.of(saved)

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Loss, and what one sees: see `llmcycle.align.watching.seen`."""
        experience, places = self.experience_for(models, batch)
        return self.loss_of(models, experience, places)

    def loss_of(self, models: Models, experience: Experience, places: Tensor | None) -> Loss:
        """The policy's part of the loss on some of the answers."""
        answers = {name: rows_of(value, places) for name, value in experience.rollouts.batch.items()}
        mask = completion_mask(answers)
        now = self.scored(models, answers, grad=self.entropy_bonus > 0)
        if experience.old_logprobs is None:
            experience.old_logprobs = now.logprobs.detach()
        old, ref = rows_of(experience.old_logprobs, places), rows_of(experience.ref_logprobs, places)
        advantages, weighed = rows_of(experience.advantages, places), rows_of(experience.correction, places)
        loss = self.policy_loss(
            now.logprobs, old, ref, advantages, mask,
            weight=self.weight.weight, correction=1.0 if weighed is None else weighed,
        )  # fmt: skip
        if self.entropy_bonus:
            loss = loss - self.entropy_bonus * self.policy_loss.over(now.entropies, mask)
        clipped = self.policy_loss.clipped(now.logprobs.detach(), old, advantages, mask)
        values = seen(experience, self.sampling.group_size, now, old, ref, clipped, mask)
        if self.policy_loss.kl_target is not None:
            values["kl_weight"] = torch.tensor(self.weight.weight)
        return loss, values

    def scored(self, models: Models, answers: Batch, grad: bool = False) -> Scored:
        """Log-probabilities and entropies of answers under the policy; `grad` says whether these have a gradient."""
        run = self.through(models, answers)(models.policy, models.run)
        settings = self.sampling.temperature, models.loss_chunk, run
        return Scored(*token_logprobs_with(entropy, models.policy, answers, *settings, grad=grad))

    def experience_for(self, models: Models, batch: Batch) -> tuple[Experience, Tensor | None]:
        """Fresh answers to the batch's prompts, or in training the ones at hand until they had their `updates`.

        Beside them which of them are to be read; None for all.
        """
        if not models.training:
            return self.sample(models, batch, seed=self.seed), None
        number = self.steps % self.updates
        if self.experience is None or number == 0:
            self.experience = self.sample(models, batch, seed=self.seed + 1 + self.steps)
        places = part_of(len(self.experience.rewards), self.minibatches, number, self.seed + 1 + self.steps - number)
        if self.minibatches > 1 and self.experience.old_logprobs is None:
            self.experience.old_logprobs = self.before(models, self.experience)
        self.steps += 1
        return self.experience, places

    @torch.no_grad()
    def before(self, models: Models, experience: Experience) -> Tensor:
        """Log-probabilities of all answers before the first update, which reads only some."""
        return self.scored(models, experience.rollouts.batch).logprobs

    def sample(self, models: Models, batch: Batch, seed: int) -> Experience:
        """Sample, score and compare."""
        return self.judged(models, *self.drawn(models, batch, seed, logprobs=self.correction is not None))

    def judged(self, models: Models, draw: Draw, rounds: int = 1) -> Experience:
        """Answers with their scores become experience: the reference's view, and advantages."""
        rollouts, scores = draw
        device = rollouts.batch["input_ids"].device
        by_name = {name: torch.tensor(values, dtype=torch.float32, device=device) for name, values in scores.items()}
        rewards = torch.stack(list(by_name.values())).sum(0)
        experience = Experience(rollouts, rewards, rewards, by_name, rounds=rounds)
        if models.reference is not None:
            through = self.through(models, rollouts.batch)
            experience.ref_logprobs = models.reference.token_logprobs(
                rollouts.batch, self.sampling.temperature, through
            )
        penalty = self.penalty(models, experience)
        if self.correction is not None:
            assert rollouts.logprobs is not None
            if experience.old_logprobs is None:
                experience.old_logprobs = self.before(models, experience)
            experience.correction = (experience.old_logprobs - rollouts.logprobs).exp().clamp(max=self.correction)
        self.compare(models, experience, penalty)
        return experience

    def penalty(self, models: Models, experience: Experience) -> Tensor | None:
        """[B, T - 1] that the KL takes off the rewards of tokens; None where it is no part of the reward.

        A weight that keeps to a target is moved here, once a batch of answers.
        """
        loss, ref = self.policy_loss, experience.ref_logprobs
        if ref is None or (loss.kl_in != "reward" and loss.kl_target is None):
            return None
        experience.old_logprobs = self.before(models, experience)
        kl = estimate(loss.kl, experience.old_logprobs, experience.old_logprobs, ref)
        mask = completion_mask(experience.rollouts.batch)
        penalty = self.weight.weight * kl * mask
        if models.training:
            self.weight.update(float((kl * mask).sum(1).mean()), len(kl))
        return penalty if loss.kl_in == "reward" else None

    def compare(self, models: Models, experience: Experience, penalty: Tensor | None) -> None:  # noqa: ARG002
        """Set the advantages: of whole answers [B, 1], or of tokens [B, T - 1]."""
        if is_for_tokens(self.advantage):
            mask = completion_mask(experience.rollouts.batch)
            tokens = token_rewards(experience.rewards, penalty, mask)
            experience.advantages = self.advantage(tokens, torch.zeros_like(tokens), mask)
        else:
            rewards = experience.rewards if penalty is None else experience.rewards - penalty.sum(1)
            experience.advantages = self.advantage(rewards, self.sampling.group_size)[:, None]  # type: ignore[call-arg, arg-type]
