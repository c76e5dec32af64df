"""Objectives of alignment: a policy from pairs, a reward model from pairs, a policy from rewards of its own answers."""

from llmcycle.align.objectives.policy import Policy
from llmcycle.align.objectives.preference import Preference
from llmcycle.align.objectives.reward_model import RewardModel, scorer

__all__ = ["Policy", "Preference", "RewardModel", "scorer"]
