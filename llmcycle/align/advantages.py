"""What an answer's reward is worth beside others: advantages, by which a policy's loss weighs answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor


class Advantage(Protocol):
    """Rewards of answers become advantages: above zero for an answer that is to become likelier."""

    def __call__(self, rewards: Tensor, group_size: int) -> Tensor:
        """Advantages [P * G] of G = `group_size` answers to each of P prompts, group after group."""
        ...


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
            advantages = advantages / (groups.std(1, keepdim=True) + 1e-4)
        return advantages.flatten()
