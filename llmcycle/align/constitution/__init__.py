"""AI feedback: answers reviewed and revised under principles, as rows to train on."""

from llmcycle.align.constitution.critic import Critic
from llmcycle.align.constitution.stage import constitute

__all__ = ["Critic", "constitute"]
