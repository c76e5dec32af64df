"""Scored answers that a policy learns from. Shapes: B answers of up to T tokens."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from llmcycle.align.rollouts import Rollouts


@dataclass
class Experience:
    """Scored rollouts.

    Args:
        rewards: [B], the sum of all rewards, the KL to the reference not among them.
        advantages: [B, 1], or [B, T - 1] where each token has its own.
        scores: [B] of each reward by name, weighted.
        ref_logprobs: [B, T - 1] under the reference; None where there is none.
        old_logprobs: [B, T - 1] under the policy that sampled: that of the first update.
        correction: [B, T - 1] by how much likelier the policy finds a token than the engine that drew it.
        values, returns: [B, T - 1] what a critic expected, and what it is to expect; None without one.
        rounds: draws that it took to find prompts whose answers differ.
    """

    rollouts: Rollouts
    rewards: Tensor
    advantages: Tensor
    scores: dict[str, Tensor] = field(default_factory=dict)
    ref_logprobs: Tensor | None = None
    old_logprobs: Tensor | None = None
    correction: Tensor | None = None
    values: Tensor | None = None
    returns: Tensor | None = None
    rounds: int = 1

    def state(self) -> dict[str, Any]:
        """Plain values and tensors, for a checkpoint."""
        own = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {**own, "rollouts": vars(self.rollouts)}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Experience:
        """What `state` gave."""
        return cls(**{**state, "rollouts": Rollouts(**state["rollouts"])})


def part_of(answers: int, parts: int, number: int, seed: int) -> Tensor | None:
    """Which of B answers the `number`th of `parts` equal parts has; None for all of them.

    Each pass over the answers cuts them anew.
    """
    if parts == 1:
        return None
    generator = torch.Generator().manual_seed(seed + number // parts)
    order = torch.randperm(answers, generator=generator)
    return order.chunk(parts)[number % parts]


def rows_of(values: Tensor | None, places: Tensor | None) -> Any:
    """The rows of [B, ...] at some places; all of them where none are given."""
    return values if values is None or places is None else values[places.to(values.device)]


def token_rewards(rewards: Tensor, penalty: Tensor | None, mask: Tensor) -> Tensor:
    """[B, T]: an answer's reward [B] falls on its last token, a penalty [B, T] on each."""
    places = torch.arange(mask.shape[1], device=mask.device)
    last = torch.where(mask.bool(), places, -1).max(1).values
    tokens = torch.zeros(mask.shape, device=rewards.device)
    answered = last >= 0
    tokens[answered, last[answered]] = rewards[answered]
    return tokens if penalty is None else tokens - penalty
