"""A reward: short answers are good ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Brevity:
    def __init__(self, characters: int) -> None:
        self.characters = characters

    def __call__(self, prompts: Sequence[Any], completions: Sequence[str], **_: Any) -> list[float]:
        return [max(0.0, 1 - len(text) / self.characters) for text in completions]
