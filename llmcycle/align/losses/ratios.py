"""Losses that look at each side's log-ratio to the reference, and not at a pair's margin alone. Shape: B pairs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import logsigmoid

from llmcycle.align.losses.direct import smoothed
from llmcycle.align.losses.preference import Answers, Pairwise
from llmcycle.quantities import Positive, Share


@dataclass(frozen=True)
class NCA(Pairwise):
    """Noise contrastive alignment, arXiv:2402.05369, equation 12, with K = 2: raises the chosen answer itself."""

    beta: Positive = 0.01

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] nats."""
        good, bad = self.beta * chosen.logratios, self.beta * rejected.logratios
        return -logsigmoid(good) - 0.5 * logsigmoid(-good) - 0.5 * logsigmoid(-bad)


@dataclass(frozen=True)
class BCOPair(Pairwise):
    """Binary classifier optimisation on pairs, arXiv:2404.04656, equation 8, without the shift of rewards."""

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] nats of both answers, each told good from bad by itself."""
        return -logsigmoid(self.beta * chosen.logratios) - logsigmoid(-self.beta * rejected.logratios)


@dataclass(frozen=True)
class SPPO(Pairwise):
    """Self-play preference optimisation, arXiv:2405.00675, equation 4.7, where the chosen answer wins for certain.

    Args:
        beta: 1 / eta of the paper: log-ratios are drawn to 1 / (2 beta) and to -1 / (2 beta).
    """

    beta: Positive = 0.001

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] squared distances of both log-ratios from their targets."""
        return (chosen.logratios - 0.5 / self.beta) ** 2 + (rejected.logratios + 0.5 / self.beta) ** 2


@dataclass(frozen=True)
class APOZero(Pairwise):
    """Anchored preference optimisation, arXiv:2408.06266, equation 7: for chosen answers above the policy's own."""

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B]: raises the chosen answer and lowers the rejected one."""
        return (-self.beta * chosen.logratios).sigmoid() + (self.beta * rejected.logratios).sigmoid()


@dataclass(frozen=True)
class APODown(Pairwise):
    """Anchored preference optimisation, arXiv:2408.06266, equation 8: for chosen answers below the policy's own."""

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B]: lowers both answers, the rejected one more."""
        margins = self.beta * (chosen.logratios - rejected.logratios)
        return (self.beta * chosen.logratios).sigmoid() + (-margins).sigmoid()


@dataclass(frozen=True)
class AOT(Pairwise):
    """Alignment via optimal transport, arXiv:2406.05882: the policy's margins as a distribution above the reference's.

    The batch's margins are sorted, so that a pair's value depends on the others: a large batch is needed.

    Args:
        label_smoothing: assumed share of pairs labelled the wrong way round.
    """

    label_smoothing: Share = 0.0

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] nats of each rank, the lowest first: section 3 of the paper, paired."""
        assert chosen.ref_logprobs is not None
        assert rejected.ref_logprobs is not None
        margins = (chosen.logprobs - rejected.logprobs).sort().values
        ref_margins = (chosen.ref_logprobs - rejected.ref_logprobs).sort().values
        return smoothed(self.beta * (margins - ref_margins), self.label_smoothing)


@dataclass(frozen=True)
class AOTUnpaired(AOT):
    """`AOT`, unpaired: the log-ratios of chosen answers as a distribution above those of rejected ones."""

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] nats of each rank, the lowest first."""
        margins = chosen.logratios.sort().values - rejected.logratios.sort().values
        return smoothed(self.beta * margins, self.label_smoothing)
