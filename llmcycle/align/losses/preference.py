"""What losses of preference pairs have in common. Log-probabilities are in nats. Shape: B pairs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from torch import Tensor

from llmcycle.quantities import NotNegative, Positive


@dataclass(frozen=True)
class Answers:
    """One side of B preference pairs, or B answers that are judged one by one.

    Args:
        logprobs: [B] log pi(completion | prompt), summed over the completion's tokens.
        ref_logprobs: [B] the same under the reference model; None for a loss without one.
        lengths: [B] tokens of the completion.
        confidence: [B] mean over the completion's tokens of log pi(token) - log sum_v pi(v)^2, without gradient: how
            near the answer is to one that the policy would draw itself. None unless the loss is `weighted`.
    """

    logprobs: Tensor
    ref_logprobs: Tensor | None
    lengths: Tensor
    confidence: Tensor | None = None

    @property
    def logratios(self) -> Tensor:
        """[B] log pi / pi_ref: beta times it is the implicit reward, up to a term of the prompt alone."""
        assert self.ref_logprobs is not None, "a loss that needs a reference says so by `needs_reference`"
        return self.logprobs - self.ref_logprobs


class PreferenceLoss(Protocol):
    """What the `preference` objective minimises: one value [B] a pair.

    A class may state `needs_reference = False`; the objective holds no reference model then.
    """

    def __call__(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] nats, or whatever the method measures in."""
        ...


@dataclass(frozen=True)
class Pairwise(ABC):
    """A loss of pairs, perhaps weighted, perhaps with the chosen answer's own loss beside it.

    Args:
        beta: strength of the pull to the reference, in nats per unit of reward, unless a loss says otherwise.
        nll: weight of the chosen answer's own loss in nats a token, which keeps it from becoming unlikely together with
            the rejected one (arXiv:2404.19733, equation 1).
        weighted: multiply a pair's term by how likely the policy is to draw both answers itself, so that pairs which
            another model wrote count as if they were its own (WPO, arXiv:2406.11827, equation 2).
    """

    needs_reference: ClassVar[bool] = True

    beta: Positive = 0.1
    nll: NotNegative = field(default=0.0, kw_only=True)
    weighted: bool = field(default=False, kw_only=True)

    def __call__(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B]: the pair's term and, by its weight, the chosen answer's own loss."""
        losses = self.of_pairs(chosen, rejected)
        if self.weighted:
            losses = losses * on_policy_weights(chosen, rejected)
        return losses - self.nll * chosen.logprobs / chosen.lengths

    @abstractmethod
    def of_pairs(self, chosen: Answers, rejected: Answers) -> Tensor:
        """[B] what this loss says of each pair."""


def on_policy_weights(chosen: Answers, rejected: Answers) -> Tensor:
    """[B] product of both answers' mean probability a token over that of a token which the policy draws itself."""
    assert chosen.confidence is not None
    assert rejected.confidence is not None
    return (chosen.confidence + rejected.confidence).exp()
