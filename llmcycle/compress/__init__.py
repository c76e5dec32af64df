"""Stage 5a: quantise a model and measure what it costs."""

from llmcycle.compress.quantise import quantise

__all__ = ["quantise"]
