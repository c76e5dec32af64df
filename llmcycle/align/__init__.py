"""Alignment: reward models, preference losses, policy losses with their rollouts, and where rewards come from."""

from llmcycle.align.policy import Policy
from llmcycle.align.preference import Preference
from llmcycle.align.reward_model import RewardModel, scorer

__all__ = ["Policy", "Preference", "RewardModel", "scorer"]
