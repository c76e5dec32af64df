"""`llmcycle compare`: methods beside each other on the same rows, trained ones and prompts."""

from llmcycle.comparison.points import Point, collect
from llmcycle.comparison.write import write

__all__ = ["Point", "collect", "write"]
