"""From raw text to a base model: tokenizer, next-token training, held-out loss beside the corpus's entropy."""

from llmcycle.pretrain.module import NextToken
from llmcycle.pretrain.tokenizer import ByteLevelBPE

__all__ = ["ByteLevelBPE", "NextToken"]
