"""An engine whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transformers import GenerationConfig

from llmcycle.data.chat import Prompt
from llmcycle.engine import Answer, Engine


class Oracle(Engine):
    """Answers each prompt as `respond` does."""

    offers = frozenset({"answer"})

    def __init__(self, respond: Callable[[Any], str]) -> None:
        self.respond = respond

    def answer(
        self, prompts: Sequence[Prompt], generation: GenerationConfig | None = None, logprobs: bool = False
    ) -> list[list[Answer]]:
        return [[Answer(self.respond(prompt), "stop")] for prompt in prompts]
