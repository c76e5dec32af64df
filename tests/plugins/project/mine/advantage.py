"""An advantage: each answer's rank in its group, from -1 to 1."""

from __future__ import annotations

from torch import Tensor


class Rank:
    def __call__(self, rewards: Tensor, group_size: int) -> Tensor:
        ranks = rewards.view(-1, group_size).argsort(1).argsort(1).float()
        return (2 * ranks / (group_size - 1) - 1).flatten()
