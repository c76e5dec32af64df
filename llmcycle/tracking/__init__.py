"""Trackers: a stage's loggers from their options and what only the run knows. None that fails ever stops a run."""

from llmcycle.tracking.loggers import Run, open_loggers
from llmcycle.tracking.result import Result, scalars
from llmcycle.tracking.sync import to_type
from llmcycle.tracking.tracked import Tracked, tracked

__all__ = ["Result", "Run", "Tracked", "open_loggers", "scalars", "to_type", "tracked"]
