"""What Hydra refused, and in which composition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Complaint:
    """What Hydra refused (`subject`), its whole `text`, and the composition it was refused in."""

    subject: str
    text: str
    name: str
    recipe: Path
    overrides: Sequence[str]

    @property
    def key(self) -> str:
        """The key that was meant, without the sign before it."""
        return self.subject.partition("=")[0].lstrip("+~")

    def typed(self, key: str) -> str:
        """The value that was typed for a key."""
        parts = (override.partition("=") for override in self.overrides)
        return next((value for name, _, value in parts if name.lstrip("+~") == key), "")
