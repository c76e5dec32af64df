"""From raw text to a base model: tokenizer, next-token training, held-out loss."""

from llmcycle.pretrain.objectives import MaskedToken, NextToken
from llmcycle.pretrain.stage import pretrain
from llmcycle.pretrain.tokenizer import ByteLevelBPE

__all__ = ["ByteLevelBPE", "MaskedToken", "NextToken", "pretrain"]
