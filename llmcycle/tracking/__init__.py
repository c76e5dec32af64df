"""Trackers: a stage's logger from its option and what only the run knows. A tracker that fails never stops a run."""

from llmcycle.tracking.loggers import close_logger, open_logger
from llmcycle.tracking.secrets import MASK, masked

__all__ = ["MASK", "close_logger", "masked", "open_logger"]
