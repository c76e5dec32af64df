"""An engine without a model: it answers every prompt with one text."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import GenerationConfig

from llmcycle.data.chat import Prompt
from llmcycle.engine import Answer, Engine


class Parrot(Engine):
    offers = frozenset({"answer"})

    def __init__(self, text: str) -> None:
        self.text = text

    def answer(
        self, prompts: Sequence[Prompt], generation: GenerationConfig | None = None, logprobs: bool = False
    ) -> list[list[Answer]]:
        return [[Answer(self.text, "stop")] for _ in prompts]
