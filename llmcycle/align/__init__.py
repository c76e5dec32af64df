"""Alignment: reward models, preference losses, policy losses with their rollouts, and where rewards come from."""

from llmcycle.align.objectives import Policy, Preference, RewardModel, scorer

__all__ = ["Policy", "Preference", "RewardModel", "scorer"]
