"""Alignment: reward models, preference losses, policy losses with their rollouts, and where rewards come from."""

from llmcycle.align.objectives.actor_critic import ActorCritic
from llmcycle.align.objectives.heads import critic, scorer, step_scorer
from llmcycle.align.objectives.online_preference import OnlinePreference
from llmcycle.align.objectives.policy import Policy
from llmcycle.align.objectives.preference import Preference
from llmcycle.align.objectives.process_reward import ProcessRewardModel
from llmcycle.align.objectives.rating import RatingModel
from llmcycle.align.objectives.reward_model import RewardModel
from llmcycle.align.objectives.unpaired import Unpaired

__all__ = [
    "ActorCritic",
    "OnlinePreference",
    "Policy",
    "Preference",
    "ProcessRewardModel",
    "RatingModel",
    "RewardModel",
    "Unpaired",
    "critic",
    "scorer",
    "step_scorer",
]
