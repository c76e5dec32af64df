"""From raw text to a base model: tokenizer, next-token training, held-out loss beside the corpus's entropy."""

from llmcycle.pretrain.held_out import HeldOut
from llmcycle.pretrain.module import NextToken
from llmcycle.pretrain.stage import pretrain
from llmcycle.pretrain.tokenizer import ByteLevelBPE

__all__ = ["ByteLevelBPE", "HeldOut", "NextToken", "pretrain"]
