"""Generation and log-likelihood of any causal language model, behind one small protocol."""

from llmcycle.engine.engine import Engine, TransformersEngine, write_samples
from llmcycle.engine.generation import evaluation_mode, generate, sample
from llmcycle.engine.likelihood import Scored, completion_logprobs, score_sequences

__all__ = [
    "Engine",
    "Scored",
    "TransformersEngine",
    "completion_logprobs",
    "evaluation_mode",
    "generate",
    "sample",
    "score_sequences",
    "write_samples",
]
