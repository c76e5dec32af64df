"""Answers sampled from a policy, ready to be scored. Shapes: P prompts, G answers a prompt, B = P * G, T tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        rounds: draws at most until as many prompts as a batch has have answers that differ in their reward: dynamic
            sampling, arXiv:2503.14476, section 3.2. 1 takes a batch as it comes.
        metric: of several rewards, by whose raw value answers differ; None for their weighted sum.
    """

    group_size: Count = 8
    max_new_tokens: Count = 32
    temperature: Positive = 1.0
    rounds: Count = 1
    metric: str | None = None

    def generation(self, answers: int | None = None) -> GenerationConfig:
        """Plain sampling from the whole distribution: any filter would make the log-probabilities wrong.

        Args:
            answers: to a prompt; None for `group_size`.
        """
        return GenerationConfig(
            do_sample=True,
            top_k=0,
            top_p=1.0,
            temperature=self.temperature,
            max_new_tokens=self.max_new_tokens,
            num_return_sequences=answers or self.group_size,
        )


@dataclass(frozen=True)
class Rollouts:
    """B answers, the G of each prompt together.

    Args:
        batch: input_ids, attention_mask and labels [B, T], right-padded; labels from the answer's first token through
            the one that ends it.
        texts: the answers without special tokens.
        completion_ids: their tokens, through the one that ends them.
        stopped: which answers ended by themselves.
        logprobs: [B, T - 1] under the engine that drew them; None unless wanted.
    """

    batch: dict[str, Tensor]
    texts: list[str]
    completion_ids: list[list[int]]
    stopped: list[bool]
    logprobs: Tensor | None = None

    @property
    def ended(self) -> float:
        """The share of answers that ended by themselves."""
        return sum(self.stopped) / len(self.stopped)


def roll_out(
    engine: Engine, prompts: Mapping[str, Tensor], sampling: Sampling, seed: int, logprobs: bool = False
) -> Rollouts:
    """Sample `sampling.group_size` answers to each of `prompts` (left-padded input_ids and attention_mask [P, T]).

    The draws depend on `seed` alone, and torch's global generator is left as it was.
    """
    device = prompts["input_ids"].device
    with seeded(seed, device):
        groups = engine.sample(prompts, sampling.generation(), logprobs)
    answers = [answer for group in groups for answer in group]
    ids = [list(answer.token_ids) for answer in answers]
    heads = [row[mask.bool()].tolist() for row, mask in zip(*_repeat(prompts, sampling.group_size), strict=True)]
    rows = [head + answer for head, answer in zip(heads, ids, strict=True)]
    labels = [[IGNORE] * len(head) + answer for head, answer in zip(heads, ids, strict=True)]
    batch = labelled(rows, labels, cast(int, engine.tokenizer.pad_token_id), device)
    return Rollouts(
        batch=batch,
        texts=[answer.text for answer in answers],
        completion_ids=ids,
        stopped=[answer.finish == "stop" for answer in answers],
        logprobs=spread(batch, [answer.logprobs or () for answer in answers]) if logprobs else None,
    )


def joined(groups: Sequence[tuple[Rollouts, slice]], pad_id: int) -> Rollouts:
    """Groups of answers, each a part of some rollouts, as one."""
    filler = {"input_ids": pad_id, "attention_mask": 0, "labels": IGNORE}
    batch = {
        name: _stacked([rollouts.batch[name][rows] for rollouts, rows in groups], value)
        for name, value in filler.items()
    }
    drawn = [rollouts.logprobs[rows] for rollouts, rows in groups if rollouts.logprobs is not None]
    return Rollouts(
        batch=batch,
        texts=[text for rollouts, rows in groups for text in rollouts.texts[rows]],
        completion_ids=[ids for rollouts, rows in groups for ids in rollouts.completion_ids[rows]],
        stopped=[stopped for rollouts, rows in groups for stopped in rollouts.stopped[rows]],
        logprobs=_stacked(drawn, 0) if drawn else None,
    )


def _stacked(parts: Sequence[Tensor], value: float) -> Tensor:
    """[B, T] of parts of several widths, filled up on the right, without columns that all fill."""
    width = max(part.shape[1] for part in parts)
    return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1]), value=value) for part in parts])


def _repeat(prompts: Mapping[str, Tensor], times: int) -> tuple[Tensor, Tensor]:
    ids, mask = (prompts[name].repeat_interleave(times, 0) for name in ("input_ids", "attention_mask"))
    return ids, mask


def labelled(rows: list[list[int]], labels: list[list[int]], pad_id: int, device: torch.device) -> dict[str, Tensor]:
    """One batch, right-padded, so that positions count from 0 for every row."""
    return {
        "input_ids": pad(rows, pad_id).to(device),
        "attention_mask": pad([[1] * len(row) for row in rows], 0).to(device),
        "labels": pad(labels, IGNORE).to(device),
    }


def spread(batch: Mapping[str, Tensor], logprobs: Sequence[Sequence[float]]) -> Tensor:
    """[B, T - 1]: each token's log-probability where its label stands."""
    mask = batch["labels"][:, 1:] != IGNORE
    flat = torch.tensor([value for row in logprobs for value in row], device=mask.device)
    return torch.zeros(mask.shape, device=mask.device).masked_scatter(mask, flat)
