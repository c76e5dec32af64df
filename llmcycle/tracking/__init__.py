"""Trackers: a stage's logger from its option and what only the run knows. A tracker that fails never stops a run."""

from llmcycle.tracking.loggers import close_logger, open_logger

__all__ = ["close_logger", "open_logger"]
