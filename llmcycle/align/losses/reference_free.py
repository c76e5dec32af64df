"""Losses of pairs that need no reference model. Log-probabilities are in nats. Shape: B pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from llmcycle.align.losses.direct import smoothed
from llmcycle.align.losses.preference import Answers, Pairwise
from llmcycle.quantities import NotNegative, Positive, Share


@dataclass(frozen=True)
class ChosenAnswer:
    """The chosen answer's own loss: supervised fine-tuning on the better side of each pair."""

    needs_reference: ClassVar[bool] = False

    def __call__(self, chosen: Answers, rejected: Answers) -> Tensor:  # noqa: ARG002
        """[B] nats whose mean is that over all tokens of the batch's chosen answers."""
        return -chosen.logprobs / chosen.lengths.to(chosen.logprobs.dtype).mean()


@dataclass(frozen=True)
class SimPO(Pairwise):
    """Simple preference optimisation, arXiv:2405.14734, equation 6: the reward is the mean log-probability of a token.

    Args:
        beta: units of reward per nat a token.
        gamma: margin in units of reward that the chosen answer must have.
        label_smoothing: assumed share of pairs labelled the wrong way round.
    """

    needs_reference: ClassVar[bool] = False

    beta: Positive = 2.0
    gamma: NotNegative = 1.0
    label_smoothing: Share = 0.0

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] negative log-likelihood of the preference, in nats."""
        margins = chosen.logprobs / chosen.lengths - rejected.logprobs / rejected.lengths
        return smoothed(self.beta * margins - self.gamma, self.label_smoothing)


@dataclass(frozen=True)
class CPO(Pairwise):
    """Contrastive preference optimisation, arXiv:2401.08417, equation 3: DPO against a uniform reference.

    Its own loss of the chosen answer is a mean a token, as in TRL; the paper writes sums.

    Args:
        beta: units of reward per nat.
        label_smoothing: assumed share of pairs labelled the wrong way round.
    """

    needs_reference: ClassVar[bool] = False

    beta: Positive = 0.1
    label_smoothing: Share = 0.0
    nll: NotNegative = field(default=1.0, kw_only=True)

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] negative log-likelihood of the preference, in nats."""
        return smoothed(self.beta * (chosen.logprobs - rejected.logprobs), self.label_smoothing)


@dataclass(frozen=True)
class ORPO(Pairwise):
    """Odds ratio preference optimisation, arXiv:2403.07691, equations 6 and 7: fine-tuning that keeps the sides apart.

    The probability of an answer is the geometric mean of those of its tokens. The chosen answer's own loss falls on the
    answer, as in the paper; TRL's on the prompt too.

    Args:
        beta: weight of the odds ratio beside the chosen answer's own loss (lambda in the paper).
    """

    needs_reference: ClassVar[bool] = False

    beta: Positive = 0.1
    nll: NotNegative = field(default=1.0, kw_only=True)

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] weighted negative log-likelihood, in nats, that the chosen answer has the larger odds."""
        return -self.beta * logsigmoid(log_odds(chosen) - log_odds(rejected))


def log_odds(answers: Answers) -> Tensor:
    """[B] log p / (1 - p), p the geometric mean of the probabilities of an answer's tokens."""
    logprobs = answers.logprobs / answers.lengths
    # Either form of log(1 - p) loses digits on the other's side of p = 1/2.
    small, large = torch.log1p(-logprobs.exp()), torch.log(-torch.expm1(logprobs))
    return logprobs - torch.where(logprobs < -math.log(2), small, large)
