"""A synthetic shop with ground truth: corpus of known entropy, instructions, preferences, questions, verifier."""

from .comparisons import Comparisons
from .from_questions import samples
from .rows import Documents, Instructions, Preferences, Questions
from .verifier import Verdict
from .world import World

__all__ = ["Comparisons", "Documents", "Instructions", "Preferences", "Questions", "Verdict", "World", "samples"]
