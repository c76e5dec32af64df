"""Human feedback: people choose, rate and edit answers on a page or in the terminal, and training reads them."""

from llmcycle.feedback.start import Settings, feedback, report

__all__ = ["Settings", "feedback", "report"]
