"""What is in a store of artifacts and runs: lists, the card of an artifact, and what sets two apart; without torch."""

from llmcycle.catalogue.card import card
from llmcycle.catalogue.difference import difference
from llmcycle.catalogue.listing import artifact_rows, run_rows

__all__ = ["artifact_rows", "card", "difference", "run_rows"]
