"""Losses of the margin between the implicit rewards of a pair: DPO and what differs from it in one function."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from llmcycle.align.losses.divergence import Divergence, score
from llmcycle.align.losses.preference import Answers, Pairwise
from llmcycle.quantities import InnerShare, Positive, Share, ShareBelowHalf


def smoothed(margins: Tensor, label_smoothing: float) -> Tensor:
    """[B] cross-entropy in nats of a pair's order, which is the other way round in a share of all pairs."""
    return -(1 - label_smoothing) * logsigmoid(margins) - label_smoothing * logsigmoid(-margins)


@dataclass(frozen=True)
class Margin(Pairwise):
    """A loss of score(chosen) - score(rejected).

    Args:
        divergence: from the reference; a score is f'(pi / pi_ref), for the reverse KL the log-ratio.
        per_token: divide each score by the tokens of its answer.
    """

    divergence: Divergence = field(default="reverse_kl", kw_only=True)
    per_token: bool = field(default=False, kw_only=True)

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] what this loss says of the margins."""
        return self.of_margins(self.score(chosen) - self.score(rejected))

    def score(self, answers: Answers) -> Tensor:
        """[B] implicit rewards in units of beta."""
        scores = score(answers.logratios, self.divergence)
        return scores / answers.lengths if self.per_token else scores

    @abstractmethod
    def of_margins(self, margins: Tensor) -> Tensor:
        """[B] from margins [B] in units of beta."""


@dataclass(frozen=True)
class DPO(Margin):
    """Direct preference optimisation, arXiv:2305.18290, equation 7: its minimum is pi_ref exp(r / beta).

    With `per_token` it is the length-normalised one of arXiv:2411.15124, section 5.1.

    Args:
        label_smoothing: assumed share of pairs labelled the wrong way round: "conservative DPO",
            https://ericmitchell.ai/cdpo.pdf, equation 3.
    """

    label_smoothing: Share = 0.0

    def of_margins(self, margins: Tensor) -> Tensor:
        """[B] negative log-likelihood of the preference, in nats."""
        return smoothed(self.beta * margins, self.label_smoothing)


@dataclass(frozen=True)
class Robust(Margin):
    """DPO that is unbiased where a known share of pairs is labelled the wrong way round: arXiv:2403.00409, equation 12.

    Args:
        label_smoothing: that share.
    """

    label_smoothing: ShareBelowHalf = 0.1

    def of_margins(self, margins: Tensor) -> Tensor:
        """[B] nats; its mean over wrong labels at this rate is DPO's loss on right ones."""
        scaled, share = self.beta * margins, self.label_smoothing
        return (share * logsigmoid(-scaled) - (1 - share) * logsigmoid(scaled)) / (1 - 2 * share)


@dataclass(frozen=True)
class IPO(Margin):
    """Identity preference optimisation, arXiv:2310.12036, equation 17: regresses the margin on 1 / (2 beta).

    Its minimum is pi_ref exp(s / beta) / Z with s the probability that an answer wins against one of the pairs. With
    `per_token` log-ratios are means a token, as in TRL, where the paper's authors confirmed it; the paper writes sums.
    """

    def of_margins(self, margins: Tensor) -> Tensor:
        """[B] squared distance of the margin from its target."""
        return (margins - 1 / (2 * self.beta)) ** 2


@dataclass(frozen=True)
class Hinge(Margin):
    """The hinge of SLiC on the implicit rewards: arXiv:2309.06657, equation 9, from arXiv:2305.10425."""

    def of_margins(self, margins: Tensor) -> Tensor:
        """[B] by how much a margin falls short of 1 unit of reward."""
        return torch.relu(1 - self.beta * margins)


@dataclass(frozen=True)
class EXO(Margin):
    """Efficient exact optimisation on pairs, arXiv:2402.00856, equation 16: the reverse KL of the pair's order.

    Args:
        label_smoothing: share that the target leaves to the rejected answer.
    """

    label_smoothing: InnerShare = 0.001

    def of_margins(self, margins: Tensor) -> Tensor:
        """[B] KL in nats from what the policy says of the order to what the label says."""
        scaled, share = self.beta * margins, self.label_smoothing
        first = scaled.sigmoid() * (logsigmoid(scaled) - math.log1p(-share))
        return first + (-scaled).sigmoid() * (logsigmoid(-scaled) - math.log(share))


@dataclass(frozen=True)
class DiscoPOP(Margin):
    """Discovered preference optimisation, arXiv:2406.08414, equation 5: logistic and exponential loss, blended.

    Args:
        tau: of the blend, in units of reward.
    """

    tau: Positive = 0.05

    def of_margins(self, margins: Tensor) -> Tensor:
        """[B] logistic where the order is wrong, exponential where it is right."""
        scaled = self.beta * margins
        share = (scaled / self.tau).sigmoid()
        return (1 - share) * -logsigmoid(scaled) + share * torch.exp(-scaled)
