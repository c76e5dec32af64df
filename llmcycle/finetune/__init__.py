"""Supervised fine-tuning on prompts and completions, and what becomes of models without training: merged, combined."""

from .combine import combine
from .merge import merge
from .objective import Supervised

__all__ = ["Supervised", "combine", "merge"]
