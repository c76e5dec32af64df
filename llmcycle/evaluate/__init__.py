"""Metrics and intervals used by every stage."""

from llmcycle.evaluate.evaluator import Evaluator, compare, evaluate
from llmcycle.evaluate.interval import mean_interval, paired_interval
from llmcycle.evaluate.metric import Better, Metric, Metrics
from llmcycle.evaluate.scores import Scores, pair, read_scores, row_id, write_scores

__all__ = [
    "Better",
    "Evaluator",
    "Metric",
    "Metrics",
    "Scores",
    "compare",
    "evaluate",
    "mean_interval",
    "pair",
    "paired_interval",
    "read_scores",
    "row_id",
    "write_scores",
]
