"""Answers sampled from a policy, ready to be scored. Shapes: P prompts, G answers a prompt, B = P * G, T tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from transformers import GenerationConfig

from llmcycle.data.chat import IGNORE
from llmcycle.data.padding import pad
from llmcycle.engine import Engine, seeded
from llmcycle.quantities import Count, Positive


@dataclass(frozen=True)
class Sampling:
    """How a policy explores.

    Args:
        group_size: answers a prompt, G.
        max_new_tokens: tokens after which an answer is cut.
        temperature: of the softmax, for sampling and for the log-probabilities that are trained alike.
    """

    group_size: Count = 8
    max_new_tokens: Count = 32
    temperature: Positive = 1.0

    def generation(self) -> GenerationConfig:
        """Plain sampling from the whole distribution: any filter would make the log-probabilities wrong."""
        return GenerationConfig(
            do_sample=True,
            top_k=0,
            top_p=1.0,
            temperature=self.temperature,
            max_new_tokens=self.max_new_tokens,
            num_return_sequences=self.group_size,
        )


@dataclass(frozen=True)
class Rollouts:
    """B answers, the G of each prompt together.

    Args:
        batch: input_ids, attention_mask and labels [B, T], right-padded; labels from the answer's first token through
            the one that ends it.
        texts: the answers without special tokens.
        completion_ids: their tokens, through the one that ends them.
        ended: share of answers that ended by themselves.
    """

    batch: dict[str, Tensor]
    texts: list[str]
    completion_ids: list[list[int]]
    ended: float


def roll_out(engine: Engine, prompts: Mapping[str, Tensor], sampling: Sampling, seed: int) -> Rollouts:
    """Sample `sampling.group_size` answers to each of `prompts` (left-padded input_ids and attention_mask [P, T]).

    The draws depend on `seed` alone, and torch's global generator is left as it was.
    """
    device = prompts["input_ids"].device
    with seeded(seed, device):
        groups = engine.sample(prompts, sampling.generation())
    answers = [answer for group in groups for answer in group]
    ids = [list(answer.token_ids) for answer in answers]
    heads = [row[mask.bool()].tolist() for row, mask in zip(*_repeat(prompts, sampling.group_size), strict=True)]
    return Rollouts(
        batch=_batch(heads, ids, cast(int, engine.tokenizer.pad_token_id), device),
        texts=[answer.text for answer in answers],
        completion_ids=ids,
        ended=sum(answer.finish == "stop" for answer in answers) / len(answers),
    )


def _repeat(prompts: Mapping[str, Tensor], times: int) -> tuple[Tensor, Tensor]:
    ids, mask = (prompts[name].repeat_interleave(times, 0) for name in ("input_ids", "attention_mask"))
    return ids, mask


def _batch(heads: list[list[int]], answers: list[list[int]], pad_id: int, device: torch.device) -> dict[str, Tensor]:
    """Right-padded, so that positions count from 0 for every row."""
    rows = [head + answer for head, answer in zip(heads, answers, strict=True)]
    labels = [[IGNORE] * len(head) + answer for head, answer in zip(heads, answers, strict=True)]
    return {
        "input_ids": pad(rows, pad_id).to(device),
        "attention_mask": pad([[1] * len(row) for row in rows], 0).to(device),
        "labels": pad(labels, IGNORE).to(device),
    }
