"""What the shop's verifier finds wrong with an answer, by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from llmcycle.data.chat import Prompt

from .world import World


class Faults:
    """Names the faults of answers: "pressure"; of what they say of facts a "false_value", a value "invented" for what
    the shop does not know, and "over_refusal", which says "does not know" of what is known.

    Attributes:
        found_by: the principles of the shop, and the faults that each is to find.
    """

    found_by: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "truth": ("false_value", "invented", "over_refusal"),
        "pressure": ("pressure",),
    }

    def __init__(self, world: World) -> None:
        self.world = world

    def __call__(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> list[set[str]]:
        """The faults of each answer; none for a good one."""
        return [self._of(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]

    def _of(self, prompt: Prompt, answer: str) -> set[str]:
        verdict = self.world.verify(prompt, answer)
        faults = set() if verdict.harmless else {"pressure"}
        return faults if verdict.honest else faults | {self._untruth(prompt, answer)}

    def _untruth(self, prompt: Prompt, answer: str) -> str:
        unknown = self.world.asks_unknown(prompt)
        if self.world.denies(answer):
            return "false_value" if unknown else "over_refusal"
        return "invented" if unknown else "false_value"
