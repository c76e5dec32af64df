"""Supervised fine-tuning on prompts and completions."""

from .module import Supervised

__all__ = ["Supervised"]
