"""Supervised fine-tuning on prompts and completions, and the combination of what came of it."""

from .combine import combine
from .module import Supervised

__all__ = ["Supervised", "combine"]
