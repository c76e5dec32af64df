"""An answer on its way through the principles of a constitution."""

from __future__ import annotations

from dataclasses import dataclass

from llmcycle.align.constitution.critic import Review
from llmcycle.data.chat import Prompt


@dataclass(frozen=True)
class Course:
    """An answer on its way through the principles, with a review under each of them, in order."""

    prompt: Prompt
    answer: str
    reviews: tuple[Review, ...]

    @property
    def revision(self) -> str:
        """The answer as the last principle left it."""
        return self.reviews[-1].revision

    @property
    def wrong(self) -> float | None:
        """The highest probability that it must be changed, over the principles; None where one gave no verdict."""
        shares = [review.wrong for review in self.reviews]
        return None if None in shares else max(share for share in shares if share is not None)
