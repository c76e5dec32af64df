"""Several rewards of an answer added up, each checked before it can do harm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from llmcycle.align.rewards import Reward
from llmcycle.data.chat import Prompt
from llmcycle.evaluate.reward import filled

ALONE = "reward"  # the name of a reward that is the only one


class WeightedRewards:
    """The weighted sum of rewards by name.

    Args:
        rewards: one reward, or several by name.
        weights: by name; 1 for a reward that has none here.

    Raises:
        ValueError: a weight belongs to no reward.
    """

    def __init__(self, rewards: Reward | Mapping[str, Reward], weights: Mapping[str, float] | None = None) -> None:
        self.rewards: dict[str, Reward] = dict(rewards) if isinstance(rewards, Mapping) else {ALONE: rewards}
        self.weights = dict(weights or {})
        refuse_weights(self.weights, self.rewards if isinstance(rewards, Mapping) else {})

    def __call__(
        self, prompts: Sequence[Prompt], completions: Sequence[str], **columns: Sequence[Any]
    ) -> dict[str, list[float]]:
        """Of each reward by name, one weighted value an answer; of None see `llmcycle.evaluate.reward.filled`.

        Raises:
            ValueError: a reward gives more or fewer values than there are answers, or one that is no finite number.
        """
        scored: dict[str, list[float]] = {}
        for name, reward in self.rewards.items():
            values = reward(prompts=prompts, completions=completions, **columns)
            refuse_values(self.key(name), values, completions)
            weight = self.weights.get(name, 1.0)
            scored[name] = [weight * value for value in filled(reward, prompts, values)]
        return scored

    def key(self, name: str) -> str:
        """Where a recipe has the reward."""
        return ALONE if self.rewards.keys() == {ALONE} else f"{ALONE}.{name}"


def refuse_values(key: str, values: Sequence[float | None], completions: Sequence[str]) -> None:
    """ValueError for what can't be the rewards of these answers."""
    if len(values) != len(completions):
        raise ValueError(f"{key}: it gave {len(values)} rewards for {len(completions)} answers; it must give one each")
    for value, answer in zip(values, completions, strict=True):
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{key}: it gave {value} for the answer {answer[:80]!r}; a reward is a finite number")


def refuse_weights(weights: Mapping[str, float], rewards: Mapping[str, Any]) -> None:
    """ValueError for weights of rewards that are not there, or that are no finite numbers."""
    for name, weight in weights.items():
        if name not in rewards:
            known = f"choose one of {', '.join(rewards)}" if rewards else "one reward alone has no name; leave it out"
            raise ValueError(f"objective.weights.{name}: there is no reward of this name; {known}")
        if not math.isfinite(weight):
            raise ValueError(f"objective.weights.{name}={weight}: a weight is a finite number")
