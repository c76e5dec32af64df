"""Losses of a policy, from log-probabilities in nats and advantages. Shapes: B answers, T tokens of an answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from llmcycle.align.kl import Estimator, estimate
from llmcycle.quantities import Count, NotNegative, Positive


def sequence_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over rows of each row's mean over its tokens, from [B, T] and a 0/1 mask: every answer weighs the same."""
    return ((values * mask).sum(1) / mask.sum(1).clamp(min=1)).mean()


def sequence_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over rows of each row's sum: the gradient of the answer's own log-probability, unscaled by its length."""
    return (values * mask).sum(1).mean()


def token_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over all tokens, from [B, T] and a 0/1 mask: a long answer weighs more (arXiv:2503.14476, section 3.3)."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


MEANS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sequence": sequence_mean,
    "sum": sequence_sum,
    "token": token_mean,
}


@dataclass(frozen=True)
class PolicyLoss(ABC):
    """What the `policy` objective minimises: one value a batch of answers, with a pull to the reference.

    A subclass says by `terms` what a token adds to it.

    Args:
        beta: weight of the KL to the reference, in units of reward per nat; 0 needs no reference.
        kl: how the KL is estimated: see `llmcycle.align.kl`.
        kl_in: whether it is taken off the `reward`, where it is part of what is sought, or added to the `loss`.
        kl_target: nats an answer that the weight is moved towards; None keeps `beta`.
        kl_horizon: answers over which the weight may change by about a fifth.
        mean: over `sequence`s as in GRPO, over all `token`s as in DAPO, or of each answer's `sum`.
        length: what an answer's sum is divided by instead of its own tokens; None for the mean alone.
    """

    beta: NotNegative = 0.0
    kl: Estimator = "k3"
    kl_in: Literal["loss", "reward"] = "loss"
    kl_target: Positive | None = None
    kl_horizon: Count = 10000
    mean: Literal["sequence", "sum", "token"] = "sequence"
    length: Count | None = None

    def __post_init__(self) -> None:
        refuse_pull(self.beta, self.kl, self.kl_in, self.kl_target)

    @staticmethod
    def needs_reference(beta: float = 0.0, **_: object) -> bool:
        """Whether the model before training is needed, by the settings; `check` asks this too."""
        return beta > 0

    @staticmethod
    def preflight(
        beta: float = 0.0, kl: str = "k3", kl_in: str = "loss", kl_target: float | None = None, **_: object
    ) -> None:
        """Refuse, before anything is built, a pull to the reference that pulls nowhere."""
        refuse_pull(beta, kl, kl_in, kl_target)

    @abstractmethod
    def terms(self, logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
        """[B, T], or [B, 1] of a whole answer, from log-probabilities [B, T] now and when sampled, and advantages."""

    def __call__(
        self,
        logprobs: Tensor,
        old_logprobs: Tensor,
        ref_logprobs: Tensor | None,
        advantages: Tensor,
        mask: Tensor,
        *,
        weight: float | None = None,
        correction: Tensor | float = 1.0,
    ) -> Tensor:
        """The scalar loss.

        Args:
            logprobs, old_logprobs, ref_logprobs: [B, T] now, when sampled and under the reference.
            advantages: [B, 1], or [B, T] where each token has its own.
            mask: [B, T], 1 on the answer's tokens, the one that ends it included.
            weight: of the KL, in the place of `beta`.
            correction: [B, T] that the terms are multiplied by, for answers that another engine sampled.
        """
        values = self.terms(logprobs, old_logprobs, advantages, mask) * correction
        weight = self.beta if weight is None else weight
        if self.kl_in == "loss" and weight and ref_logprobs is not None:
            values = values + weight * estimate(self.kl, logprobs, old_logprobs, ref_logprobs)
        return self.over(values.expand_as(mask), mask)

    def over(self, values: Tensor, mask: Tensor) -> Tensor:
        """The mean of values [B, T] that this loss takes."""
        if self.length is not None:
            return sequence_sum(values, mask) / self.length
        return MEANS[self.mean](values, mask)

    def clipped(self, logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002
        """[B, T] or [B, 1]: where this loss gives no gradient because the policy has moved too far; nowhere here."""
        return torch.zeros_like(mask, dtype=torch.bool)


@dataclass(frozen=True)
class Reinforce(PolicyLoss):
    """Policy gradient (Williams 1992): the advantage times the log-probability, for answers of this very policy."""

    def terms(self, logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002
        """See the base."""
        return -advantages * logprobs


@dataclass(frozen=True)
class Clipped(PolicyLoss):
    """PPO's clipped ratio, arXiv:1707.06347, equation 7; in GRPO (arXiv:2402.03300) and its relatives.

    Args:
        clip_low: the ratio to the policy that sampled is clipped at 1 - clip_low from below ...
        clip_high: ... and at 1 + clip_high from above; larger than `clip_low` in DAPO.
        ratio: of each `token`; of the whole answer as its `sequence`'s geometric mean (GSPO, arXiv:2507.18071); or as
            the `product` over its tokens (RLOO, arXiv:2402.14740).
    """

    clip_low: NotNegative = 0.2
    clip_high: NotNegative = 0.2
    ratio: Literal["token", "sequence", "product"] = "token"

    def terms(self, logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
        """See the base."""
        ratios = ratios_of(self.ratio, logprobs - old_logprobs, mask)
        return -torch.minimum(ratios * advantages, ratios.clamp(1 - self.clip_low, 1 + self.clip_high) * advantages)

    def clipped(self, logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
        """See the base."""
        ratios = ratios_of(self.ratio, logprobs - old_logprobs, mask)
        low, high = ratios < 1 - self.clip_low, ratios > 1 + self.clip_high
        return (low & (advantages < 0)) | (high & (advantages > 0))


@dataclass(frozen=True)
class CISPO(PolicyLoss):
    """The ratio is clipped as a weight without a gradient, so that every token keeps one: arXiv:2506.13585, equation 4.

    Args:
        most: that the ratio to the policy that sampled may weigh.
    """

    most: Positive = 5.0

    def terms(self, logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002
        """See the base."""
        return -(logprobs - old_logprobs).exp().clamp(max=self.most).detach() * advantages * logprobs

    def clipped(self, logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002
        """Where the weight is cut; these tokens keep a gradient."""
        return ((logprobs - old_logprobs).exp() > self.most) & (advantages > 0)


@dataclass(frozen=True)
class SAPO(PolicyLoss):
    """A soft gate in the place of the clip: arXiv:2511.20347, equation 6.

    Args:
        temperature_up, temperature_down: how sharply the gate closes for answers to be made likelier and less likely.
    """

    temperature_up: Positive = 1.0
    temperature_down: Positive = 1.05

    def terms(self, logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002
        """See the base."""
        sharpness = torch.where(advantages > 0, self.temperature_up, self.temperature_down)
        ratios = (logprobs - old_logprobs).exp()
        return -torch.sigmoid(sharpness * (ratios - 1)) * 4 / sharpness * advantages


def ratios_of(kind: str, logratios: Tensor, mask: Tensor) -> Tensor:
    """[B, T] of tokens, or [B, 1] of whole answers: see `Clipped`."""
    if kind == "token":
        return logratios.exp()
    total = (logratios * mask).sum(1, keepdim=True)
    return (total / mask.sum(1, keepdim=True).clamp(min=1) if kind == "sequence" else total).exp()


def refuse_pull(beta: float, kl: str, kl_in: str, kl_target: float | None) -> None:
    """ValueError for a pull to the reference that pulls nowhere."""
    if beta and kl == "k1" and kl_in == "loss":
        raise ValueError("kl: in the loss the gradient of k1 is zero on average\n  try: kl_in=reward")
    if kl == "k3_weighted" and kl_in == "reward":
        raise ValueError("kl: the ratio of k3_weighted has a meaning in the loss alone\n  try: kl=k1")
    if kl_target is not None and not beta:
        raise ValueError("kl_target: a weight of 0 can't be moved to a target\n  try: beta=0.05")
