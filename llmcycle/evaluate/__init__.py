"""Metrics and intervals used by every stage."""

from llmcycle.evaluate.evaluator import Evaluator, Scores, compare, evaluate
from llmcycle.evaluate.interval import mean_interval, paired_interval
from llmcycle.evaluate.metric import Better, Metric, Metrics

__all__ = [
    "Better",
    "Evaluator",
    "Metric",
    "Metrics",
    "Scores",
    "compare",
    "evaluate",
    "mean_interval",
    "paired_interval",
]
