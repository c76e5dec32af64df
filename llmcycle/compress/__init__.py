"""Stage 5a: make a model smaller, and measure what that costs."""

from llmcycle.compress.methods import Method
from llmcycle.compress.stage import compress

__all__ = ["Method", "compress"]
