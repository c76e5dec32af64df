"""An engine whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from conftest import byte_tokenizer
from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerBase

from llmcycle.data.chat import Prompt, set_chat_template
from llmcycle.engine import Answer, Engine, Labelled


class Oracle(Engine):
    """Answers each prompt as `respond` does."""

    offers = frozenset({"answer"})

    def __init__(self, respond: Callable[[Any], str]) -> None:
        self.respond = respond

    def answer(
        self, prompts: Sequence[Prompt], generation: GenerationConfig | None = None, logprobs: bool = False
    ) -> list[list[Answer]]:
        count = (generation and generation.num_return_sequences) or 1
        return [[Answer(self.respond(prompt), "stop")] * count for prompt in prompts]


class Uniform(Oracle):
    """Speaks in a chat, and gives every token that is scored the same log-probability."""

    offers = frozenset({"answer", "score"})
    tokenizer: PreTrainedTokenizerBase = set_chat_template(byte_tokenizer())  # type: ignore[assignment]

    def __init__(self, respond: Callable[[Any], str], logprob: float) -> None:
        super().__init__(respond)
        self.logprob = logprob

    def score(self, sequences: Sequence[Labelled]) -> list[Tensor]:
        self.scored = [[label for label in labels if label >= 0] for _, labels in sequences]
        return [torch.full((len(labels),), self.logprob) for labels in self.scored]
