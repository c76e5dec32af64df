"""The objectives of alignment as pure functions of log-probabilities, rewards and advantages."""

from llmcycle.align.losses.direct import DPO, EXO, IPO, DiscoPOP, Hinge, Robust
from llmcycle.align.losses.policy import (
    CISPO,
    SAPO,
    Clipped,
    PolicyLoss,
    Reinforce,
    sequence_mean,
    sequence_sum,
    token_mean,
)
from llmcycle.align.losses.preference import Answers, Pairwise, PreferenceLoss
from llmcycle.align.losses.ratios import AOT, NCA, SPPO, AOTUnpaired, APODown, APOZero, BCOPair
from llmcycle.align.losses.reference_free import CPO, ORPO, ChosenAnswer, SimPO
from llmcycle.align.losses.reward import BradleyTerry, MeanSquare, RatingLoss, RewardLoss, StepCrossEntropy, StepLoss
from llmcycle.align.losses.unpaired import BCO, KTO, APOZeroUnpaired, UnpairedLoss

__all__ = [
    "AOT",
    "BCO",
    "CISPO",
    "CPO",
    "DPO",
    "EXO",
    "IPO",
    "KTO",
    "NCA",
    "ORPO",
    "SAPO",
    "SPPO",
    "AOTUnpaired",
    "APODown",
    "APOZero",
    "APOZeroUnpaired",
    "Answers",
    "BCOPair",
    "BradleyTerry",
    "ChosenAnswer",
    "Clipped",
    "DiscoPOP",
    "Hinge",
    "MeanSquare",
    "Pairwise",
    "PolicyLoss",
    "PreferenceLoss",
    "RatingLoss",
    "Reinforce",
    "RewardLoss",
    "Robust",
    "SimPO",
    "StepCrossEntropy",
    "StepLoss",
    "UnpairedLoss",
    "sequence_mean",
    "sequence_sum",
    "token_mean",
]
