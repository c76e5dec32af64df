"""Supervised fine-tuning on prompts and completions, and the combination of what came of it."""

from .combine import combine
from .objective import Supervised

__all__ = ["Supervised", "combine"]
