"""What an answer's reward is worth beside others: advantages, by which a policy's loss weighs answers.

Shapes: P prompts, G answers to each, B = P * G; T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import ClassVar, Protocol, TypeGuard

import torch
from torch import Tensor

from llmcycle.quantities import Share

EPSILON = 1e-4  # beside a deviation that may be 0


class Advantage(Protocol):
    """Rewards of answers become advantages: above zero for an answer that is to become likelier."""

    def __call__(self, rewards: Tensor, group_size: int) -> Tensor:
        """Advantages [P * G] of G = `group_size` answers to each of P prompts, group after group."""
        ...


class TokenAdvantage(Protocol):
    """Rewards of tokens become advantages of tokens."""

    def __call__(self, token_rewards: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Advantages [B, T] from rewards [B, T], what a critic expected before each token, and the answers' mask."""
        ...


def is_for_tokens(advantage: Advantage | TokenAdvantage) -> TypeGuard[TokenAdvantage]:
    """Whether an advantage is one of tokens, by the name of what it is called with."""
    return "token_rewards" in signature(advantage).parameters


@dataclass(frozen=True)
class GroupRelative:
    """The reward less the mean of its group. A group without differences gives zeros.

    Args:
        deviation: divide by the group's standard deviation too (GRPO, arXiv:2402.03300); without it, a group that
            nearly always succeeds weighs no more than another (arXiv:2503.20783).
    """

    deviation: bool = True
    least: ClassVar[int] = 2  # answers to a prompt: one alone is its group's mean

    def __call__(self, rewards: Tensor, group_size: int) -> Tensor:
        """Advantages [P * G] in units of the reward, or of its deviation."""
        groups = rewards.view(-1, group_size)
        advantages = groups - groups.mean(1, keepdim=True)
        if self.deviation:
            advantages = advantages / (groups.std(1, keepdim=True) + EPSILON)
        return advantages.flatten()


@dataclass(frozen=True)
class LeaveOneOut:
    """The reward less the mean of the group's other answers, which biases nothing: RLOO, arXiv:2402.14740."""

    least: ClassVar[int] = 2

    def __call__(self, rewards: Tensor, group_size: int) -> Tensor:
        """Advantages [P * G] in units of the reward."""
        groups = rewards.view(-1, group_size)
        others = (groups.sum(1, keepdim=True) - groups) / (group_size - 1)
        return (groups - others).flatten()


@dataclass(frozen=True)
class BatchMean:
    """The reward less the mean of the batch: REINFORCE with the simplest baseline (Williams 1992)."""

    def __call__(self, rewards: Tensor, group_size: int) -> Tensor:  # noqa: ARG002
        """Advantages [P * G] in units of the reward."""
        return rewards - rewards.mean()


@dataclass(frozen=True)
class Whitened:
    """All that a token still earns, whitened over the whole batch: REINFORCE++, arXiv:2501.03262, equations 4 and 6."""

    def __call__(self, token_rewards: Tensor, values: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002
        """Advantages [B, T] with mean 0 and deviation 1 over the tokens of all answers."""
        return whiten(to_come(token_rewards * mask), mask)


@dataclass(frozen=True)
class GAE:
    """Generalised advantage estimation, arXiv:1506.02438, equation 16, with a critic's values.

    Args:
        gamma: what a reward one token later is worth.
        lam: 1 trusts the rewards that came, 0 the critic.
        whiten: to mean 0 and deviation 1 over the tokens of all answers, as PPO's implementations do.
    """

    gamma: Share = 1.0
    lam: Share = 0.95
    whiten: bool = True
    critic: ClassVar[bool] = True  # without a critic its values are nothing

    def __call__(self, token_rewards: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Advantages [B, T]."""
        advantages = self.raw(token_rewards, values, mask)
        return whiten(advantages, mask) if self.whiten else advantages

    def raw(self, token_rewards: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Advantages [B, T] in units of the reward, 0 outside of the mask; added to `values` they are the returns."""
        # A token outside of the answer is skipped: the next value is that of the answer's own next token.
        following, running, columns = torch.zeros_like(values[:, 0]), torch.zeros_like(values[:, 0]), []
        for t in reversed(range(values.shape[1])):
            inside = mask[:, t].bool()
            error = token_rewards[:, t] + self.gamma * following - values[:, t]
            running = torch.where(inside, error + self.gamma * self.lam * running, running)
            following = torch.where(inside, values[:, t], following)
            columns.append(torch.where(inside, running, 0.0))
        return torch.stack(columns[::-1], 1)


def to_come(token_rewards: Tensor) -> Tensor:
    """[B, T]: the sum of each token's reward and all later ones."""
    return token_rewards.flip(1).cumsum(1).flip(1)


def whiten(values: Tensor, mask: Tensor) -> Tensor:
    """Mean 0 and deviation 1 over the tokens in the mask, 0 outside."""
    inside = values[mask.bool()]
    deviation = inside.std() if len(inside) > 1 else torch.zeros((), device=values.device)
    return (values - inside.mean()) / (deviation + EPSILON) * mask
