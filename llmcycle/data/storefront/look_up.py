"""The shop's catalogue as a tool: an answer that admits not to know is a call, and the catalogue's entry comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .world import World


class LookUp:
    """An environment for the rows of `Questions`: the fact is told once, to a policy that says that it does not know.

    So the best policy answers what it knows and looks up what it does not, in place of making it up.
    """

    def __init__(self, world: World) -> None:
        self.world, self.row, self.told = world, {"answer": ""}, False

    def reset(self, row: Mapping[str, Any]) -> None:
        """Begin with a question; its row has the right answer."""
        self.row, self.told = dict(row), False

    def step(self, answer: str) -> str | None:
        """The catalogue's entry for a first answer that admits not to know; None ends the conversation."""
        if self.told or not self.world.denies(answer):
            return None
        self.told = True
        return f"The catalogue says: {self.row['answer']} {self.row['prompt']}"
