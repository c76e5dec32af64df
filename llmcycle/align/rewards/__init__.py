"""Where rewards come from: verifiers, reward models, functions of the user's and of TRL's."""

from llmcycle.align.rewards.functions import FunctionReward, TrlReward
from llmcycle.align.rewards.learned import Ensemble, Learned, ProcessReward, Verifier
from llmcycle.align.rewards.texts import Length, Match, Number, Regex
from llmcycle.evaluate.reward import Reward

__all__ = [
    "Ensemble",
    "FunctionReward",
    "Learned",
    "Length",
    "Match",
    "Number",
    "ProcessReward",
    "Regex",
    "Reward",
    "TrlReward",
    "Verifier",
]
