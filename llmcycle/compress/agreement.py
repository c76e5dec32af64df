"""How often two models choose the same next token, in the same contexts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.data.chat import Prompt, encode_text
from llmcycle.engine.generation import encode_prompts
from llmcycle.evaluate.scores import Scores


@dataclass(frozen=True)
class Context:
    """A prompt and an answer to it: the choices looked at begin at the prompt's last token."""

    input_ids: list[int]
    start: int


def contexts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Prompt], answers: Sequence[str]) -> list[Context]:
    heads = encode_prompts(tokenizer, prompts)
    return [
        Context(head + encode_text(tokenizer, answer), len(head) - 1)
        for head, answer in zip(heads, answers, strict=True)
    ]


@torch.no_grad()
def choices(model: PreTrainedModel, contexts: Sequence[Context]) -> list[Tensor]:
    """The likeliest token at each place of each context; one context at a time, so that no padding blurs it."""
    return [
        model(input_ids=torch.tensor([c.input_ids], device=model.device)).logits[0, c.start :].argmax(-1).cpu()
        for c in contexts
    ]


def agreement(before: Sequence[Tensor], after: Sequence[Tensor]) -> Scores:
    """Share of equal choices in each context."""
    return Scores([(x == y).float().mean().item() for x, y in zip(before, after, strict=True)])
