"""Sweeps that search: Hydra's sweeper on Optuna, which goes on after a kill and ends hopeless trials early."""

from llmcycle.search.settings import Search

__all__ = ["Search"]
