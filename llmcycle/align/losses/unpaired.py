"""Losses of answers that are good or bad by themselves. Log-probabilities are in nats. Shape: B answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from llmcycle.align.losses.preference import Answers
from llmcycle.quantities import NotNegative, Positive, ShareBelowOne

# What a log-ratio is measured from: 0, KL(pi || pi_ref) of the batch, or the log-ratio of a middling answer so far.
ReferencePoint = Literal["none", "kl", "running"]


class UnpairedLoss(Protocol):
    """What the `unpaired` objective minimises: one value [B] an answer.

    A class may state `reference_point`, as `PerAnswer` does; without it the point is 0.
    """

    def __call__(self, answers: Answers, desirable: Tensor, reference_point: Tensor) -> Tensor:
        """[B] from answers, whether each is desirable [B], and a log-ratio [] in nats."""
        ...


@dataclass(frozen=True)
class PerAnswer(ABC):
    """A loss of each answer's log-ratio less the reference point, taken the other way round for undesirable ones.

    Args:
        beta: strength of the pull to the reference, in nats per unit of reward.
        desirable_weight, undesirable_weight: of the two kinds. Times their numbers of rows they should be about equal,
            at the most 4/3 to 1 (arXiv:2402.01306, equation 9).
    """

    reference_point: ClassVar[ReferencePoint] = "none"

    beta: Positive = 0.1
    desirable_weight: NotNegative = 1.0
    undesirable_weight: NotNegative = 1.0

    def __call__(self, answers: Answers, desirable: Tensor, reference_point: Tensor) -> Tensor:
        """[B], weighted."""
        gains = torch.where(desirable, 1.0, -1.0) * self.beta * (answers.logratios - reference_point)
        weights = torch.where(desirable, self.desirable_weight, self.undesirable_weight)
        return weights * self.of_gains(gains)

    @abstractmethod
    def of_gains(self, gains: Tensor) -> Tensor:
        """[B] from how far the policy has moved each answer the right way [B], in units of reward."""


@dataclass(frozen=True)
class KTO(PerAnswer):
    """Kahneman-Tversky optimisation, arXiv:2402.01306, equation 8: utility saturates in gains and in losses.

    With good and bad labels of the same answer it has no minimum inside: the answer that is good more often is raised
    without end, until the sigmoid is flat.
    """

    reference_point: ClassVar[ReferencePoint] = "kl"

    def of_gains(self, gains: Tensor) -> Tensor:
        """[B] in 0 to 1."""
        return (-gains).sigmoid()


@dataclass(frozen=True)
class APOZeroUnpaired(KTO):
    """`APOZero` without pairs, arXiv:2408.06266, equation 7, as in TRL: KTO with its reference point at 0."""

    reference_point: ClassVar[ReferencePoint] = "none"


@dataclass(frozen=True)
class BCO(PerAnswer):
    """Binary classifier optimisation, arXiv:2404.04656, equation 13: tells good answers from bad ones by their reward.

    Rewards are shifted by the running mean of (mean of good answers + mean of bad ones) / 2.

    Args:
        decay: share of that mean which a batch leaves in place.
    """

    reference_point: ClassVar[ReferencePoint] = "running"

    decay: ShareBelowOne = 0.9

    def of_gains(self, gains: Tensor) -> Tensor:
        """[B] nats."""
        return -logsigmoid(gains)
