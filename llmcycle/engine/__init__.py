"""Generation and log-likelihood of any causal language model, behind one small protocol."""

from llmcycle.engine.engine import Engine, TransformersEngine, write_samples
from llmcycle.engine.generation import generate, sample
from llmcycle.engine.likelihood import Scored, completion_logprobs, score_sequences

__all__ = [
    "Engine",
    "Scored",
    "TransformersEngine",
    "completion_logprobs",
    "generate",
    "sample",
    "score_sequences",
    "write_samples",
]
