"""Losses of reward models: of pairs of scores, of a score and a rating, of the steps of an answer. Shape: B rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from llmcycle.quantities import NotNegative


class RewardLoss(Protocol):
    """What the `reward` objective minimises: one value [B] a pair of scores."""

    def __call__(self, chosen_rewards: Tensor, rejected_rewards: Tensor, margins: Tensor | None = None) -> Tensor:
        """[B] nats, or whatever the method measures in; `margins` [B] are those that the data ask for."""
        ...


class RatingLoss(Protocol):
    """What the `rating` objective minimises: one value [B] a score and the rating that people gave."""

    def __call__(self, rewards: Tensor, ratings: Tensor) -> Tensor:
        """[B] in the square of a rating's unit, or whatever the method measures in."""
        ...


class StepLoss(Protocol):
    """What the `process_reward` objective minimises: one value [N] a step."""

    def __call__(self, logits: Tensor, right: Tensor) -> Tensor:
        """[N] nats from the logit of each step and whether it is right, 0 or 1."""
        ...


@dataclass(frozen=True)
class BradleyTerry:
    """Reward modelling, arXiv:2203.02155, equation 1: P(chosen > rejected) = sigmoid(r_chosen - r_rejected - margin).

    Margins are those of arXiv:2307.09288, equation 2: a pair that people found clear is to be told apart by more.

    Args:
        center: weight of (r_chosen + r_rejected)^2, which fixes the free constant of the rewards (arXiv:2312.09244).
    """

    center: NotNegative = 0.0

    def __call__(self, chosen_rewards: Tensor, rejected_rewards: Tensor, margins: Tensor | None = None) -> Tensor:
        """[B] from two [B]: the negative log-likelihood of the preference in nats, plus the centring term."""
        difference = chosen_rewards - rejected_rewards
        nll = -logsigmoid(difference if margins is None else difference - margins)
        return nll + self.center * (chosen_rewards + rejected_rewards) ** 2


@dataclass(frozen=True)
class MeanSquare:
    """The square of what a score misses its rating by: least squares, whose minimum is the mean rating of an answer."""

    def __call__(self, rewards: Tensor, ratings: Tensor) -> Tensor:
        """[B] from two [B], in the square of a rating's unit."""
        return (rewards - ratings) ** 2


@dataclass(frozen=True)
class StepCrossEntropy:
    """Binary cross-entropy of each step's label, as process reward models are trained: arXiv:2312.08935, equation 3."""

    def __call__(self, logits: Tensor, right: Tensor) -> Tensor:
        """[N] nats from two [N]."""
        return binary_cross_entropy_with_logits(logits, right, reduction="none")
