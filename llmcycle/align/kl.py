"""How far a policy is from its reference: estimates by its own samples, and a weight that keeps to a target.

Shapes: B answers, T tokens. Log-probabilities are in nats. Names of the estimators: joschu.net/blog/kl-approx.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

Estimator: TypeAlias = Literal["k1", "k2", "k3", "k3_weighted"]


def k1(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """log pi / pi_ref: unbiased, of either sign. As a loss it has no gradient on average; it belongs in the reward."""
    return logprobs - ref_logprobs


def k2(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Half the square of the log-ratio: biased, but its gradient is that of KL(pi || pi_ref) for one token."""
    return 0.5 * (logprobs - ref_logprobs) ** 2


def k3(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Unbiased, and never negative; its gradient is that of KL(pi_ref || pi)."""
    logratios = ref_logprobs - logprobs
    return logratios.exp() - logratios - 1


def estimate(name: Estimator, logprobs: Tensor, old_logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """[B, T] by the estimator of a name; `k3_weighted` is k3 times the ratio to the policy that sampled."""
    if name == "k3_weighted":
        return k3(logprobs, ref_logprobs) * (logprobs - old_logprobs).exp()
    return {"k1": k1, "k2": k2, "k3": k3}[name](logprobs, ref_logprobs)


@dataclass
class AdaptiveWeight:
    """The weight of the KL, moved towards a target (arXiv:1909.08593, section 2.2).

    Args:
        weight: at the start; later the current one.
        target: nats an answer that are aimed at; None keeps the weight as it is.
        horizon: answers over which the weight may change by about a fifth.
    """

    weight: float
    target: float | None
    horizon: int

    def update(self, kl: float, answers: int) -> None:
        """Raise the weight where the KL of these answers is above the target, lower it where it is below."""
        if self.target is not None:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.weight *= 1 + error * answers / self.horizon
