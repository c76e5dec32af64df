"""A synthetic shop with ground truth: corpus of known entropy, instructions, preferences, questions, verifier."""

from .comparisons import Comparisons
from .faults import Faults
from .from_questions import samples
from .judged import Ratings, Statements
from .look_up import LookUp
from .reviews import ReviewedInstructions, Reviews, TrueReviewer
from .rows import Documents, Instructions, Preferences, Questions
from .verifier import Verdict
from .world import World

__all__ = [
    "Comparisons",
    "Documents",
    "Faults",
    "Instructions",
    "LookUp",
    "Preferences",
    "Questions",
    "Ratings",
    "ReviewedInstructions",
    "Reviews",
    "Statements",
    "TrueReviewer",
    "Verdict",
    "World",
    "samples",
]
