"""The objectives of alignment as pure functions of log-probabilities, rewards and advantages.

Shapes: B rows (or pairs), T tokens of a completion. Log-probabilities are in nats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from llmcycle.quantities import NotNegative, Positive, Share


@dataclass(frozen=True)
class Answers:
    """One side of B preference pairs.

    Args:
        logprobs: [B] log pi(completion | prompt), summed over the completion's tokens.
        ref_logprobs: [B] the same under the reference model.
        lengths: [B] tokens of the completion.
    """

    logprobs: Tensor
    ref_logprobs: Tensor
    lengths: Tensor

    @property
    def logratios(self) -> Tensor:
        """[B] log pi / pi_ref: beta times it is the implicit reward, up to a term of the prompt alone."""
        return self.logprobs - self.ref_logprobs


class PreferenceLoss(Protocol):
    """What the `preference` objective minimises: one value [B] a pair."""

    def __call__(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] nats, or whatever the method measures in."""
        ...


@dataclass(frozen=True)
class DPO:
    """Direct preference optimisation, arXiv:2305.18290, equation 7: its minimum is pi_ref exp(r / beta).

    Args:
        beta: strength of the pull to the reference, in nats per unit of reward.
        label_smoothing: assumed share of pairs labelled the wrong way round ("conservative DPO").
        nll: weight of the chosen answer's own loss in nats a token, which keeps it from becoming unlikely together with
            the rejected one (arXiv:2404.19733, equation 1).
    """

    beta: Positive = 0.1
    label_smoothing: Share = 0.0
    nll: NotNegative = 0.0

    def __call__(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] negative log-likelihood of the preference, in nats, plus the weighted one of the chosen answer."""
        margins = self.beta * (chosen.logratios - rejected.logratios)
        preference = -(1 - self.label_smoothing) * logsigmoid(margins) - self.label_smoothing * logsigmoid(-margins)
        return preference - self.nll * chosen.logprobs / chosen.lengths


@dataclass(frozen=True)
class IPO:
    """Identity preference optimisation, arXiv:2310.12036, equation 17: regresses the margin on 1 / (2 beta).

    Log-ratios are averages per token as in TRL, where the paper's authors confirmed it; the paper writes sums.
    """

    beta: Positive = 0.1

    def __call__(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] squared distance of the margin from its target."""
        margins = chosen.logratios / chosen.lengths - rejected.logratios / rejected.lengths
        return (margins - 1 / (2 * self.beta)) ** 2


class RewardLoss(Protocol):
    """What the `reward` objective minimises: one value [B] a pair of scores."""

    def __call__(self, chosen_rewards: Tensor, rejected_rewards: Tensor) -> Tensor:
        """[B] nats, or whatever the method measures in."""
        ...


@dataclass(frozen=True)
class BradleyTerry:
    """Reward modelling, arXiv:2203.02155, equation 1: P(chosen > rejected) = sigmoid(r_chosen - r_rejected).

    Args:
        center: weight of (r_chosen + r_rejected)^2, which fixes the free constant of the rewards (arXiv:2312.09244).
    """

    center: NotNegative = 0.0

    def __call__(self, chosen_rewards: Tensor, rejected_rewards: Tensor) -> Tensor:
        """[B] from two [B]: the negative log-likelihood of the preference in nats, plus the centring term."""
        nll = -logsigmoid(chosen_rewards - rejected_rewards)
        return nll + self.center * (chosen_rewards + rejected_rewards) ** 2


def sequence_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over rows of each row's mean over its tokens, from [B, T] and a 0/1 mask: every answer weighs the same."""
    return ((values * mask).sum(1) / mask.sum(1).clamp(min=1)).mean()


def token_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over all tokens, from [B, T] and a 0/1 mask: a long answer weighs more (arXiv:2503.14476, section 3.3)."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


MEANS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"sequence": sequence_mean, "token": token_mean}


class PolicyLoss(Protocol):
    """What the `policy` objective minimises: one value a batch of answers."""

    def __call__(
        self, logprobs: Tensor, old_logprobs: Tensor, ref_logprobs: Tensor, advantages: Tensor, mask: Tensor
    ) -> Tensor:
        """The scalar loss, from log-probabilities [B, T] now, when sampled and under the reference, and advantages."""
        ...


@dataclass(frozen=True)
class GRPO:
    """Group relative policy optimisation, arXiv:2402.03300, equation 3: a clipped ratio less a k3 estimate of the KL.

    Args:
        beta: weight of KL(pi || pi_ref), in units of the advantage per nat.
        clip_low: the ratio to the policy that sampled is clipped at 1 - clip_low from below ...
        clip_high: ... and at 1 + clip_high from above; larger than `clip_low` in DAPO.
        mean: over `sequence`s as in the paper, or over all `token`s.
        weighted_kl: multiply k3 by the ratio, as DeepSeek-V3.2 does (arXiv:2512.02556). Only so is the
            gradient that of KL(pi || pi_ref), and pi_ref exp(r / beta) the optimum; the paper's own term follows the
            gradient of KL(pi_ref || pi).
    """

    beta: NotNegative = 0.04
    clip_low: NotNegative = 0.2
    clip_high: NotNegative = 0.2
    mean: Literal["sequence", "token"] = "sequence"
    weighted_kl: bool = True

    def __call__(
        self, logprobs: Tensor, old_logprobs: Tensor, ref_logprobs: Tensor, advantages: Tensor, mask: Tensor
    ) -> Tensor:
        """The scalar loss. See `per_token`; `mask` [B, T] is 1 on the completion's tokens, its end token included."""
        return MEANS[self.mean](self.per_token(logprobs, old_logprobs, ref_logprobs, advantages), mask)

    def per_token(self, logprobs: Tensor, old_logprobs: Tensor, ref_logprobs: Tensor, advantages: Tensor) -> Tensor:
        """Loss [B, T] from log-probabilities [B, T] now, when sampled and under the reference, and advantages [B]."""
        ratios = (logprobs - old_logprobs).exp()
        clipped = ratios.clamp(1 - self.clip_low, 1 + self.clip_high)
        gains = torch.minimum(ratios * advantages[:, None], clipped * advantages[:, None])
        kl = k3(logprobs, ref_logprobs) * (ratios if self.weighted_kl else 1.0)
        return self.beta * kl - gains


def k3(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Estimates KL(pi || pi_ref) from pi's samples: unbiased, and never negative (joschu.net/blog/kl-approx.html)."""
    logratios = ref_logprobs - logprobs
    return logratios.exp() - logratios - 1
