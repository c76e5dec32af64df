"""Answers sampled from a policy, ready to be scored. Shapes: P prompts, G answers a prompt, B = P * G, T tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from peft import PeftModel
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.data.chat import IGNORE
from llmcycle.data.padding import pad
from llmcycle.engine.generation import evaluation_mode, quiet, resolve_config
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

    def config(self, model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
        """Plain sampling from the whole distribution: any filter would make the log-probabilities wrong."""
        config = GenerationConfig(
            do_sample=True,
            top_k=0,
            top_p=1.0,
            temperature=self.temperature,
            max_new_tokens=self.max_new_tokens,
            num_return_sequences=self.group_size,
        )
        return resolve_config(model, tokenizer, config)


@dataclass(frozen=True)
class Rollouts:
    """B answers, the G of each prompt together.

    Args:
        batch: input_ids, attention_mask and labels [B, T], right-padded; labels from the answer's first token through
            the one that ends it.
        texts: the answers without special tokens.
        ended: share of answers that ended by themselves.
    """

    batch: dict[str, Tensor]
    texts: list[str]
    ended: float


def roll_out(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Mapping[str, Tensor],
    sampling: Sampling,
    seed: int,
) -> Rollouts:
    """Sample `sampling.group_size` answers to each of `prompts` (left-padded input_ids and attention_mask [P, T]).

    The draws depend on `seed` alone, and torch's global generator is left as it was.
    """
    config = sampling.config(model, tokenizer)
    with torch.no_grad(), evaluation_mode(model), quiet(), seeded(seed, prompts["input_ids"].device):
        output = model.generate(
            input_ids=prompts["input_ids"], attention_mask=prompts["attention_mask"], generation_config=config
        )
    stops = set(config.eos_token_id or [])
    answers = [_through_end(row, stops) for row in output[:, prompts["input_ids"].shape[1] :].tolist()]
    heads = [ids[mask.bool()].tolist() for ids, mask in zip(*_repeat(prompts, sampling.group_size), strict=True)]
    return Rollouts(
        batch=_batch(heads, answers, config.pad_token_id, prompts["input_ids"].device),
        texts=[text.strip() for text in tokenizer.batch_decode(answers, skip_special_tokens=True)],
        ended=sum(answer[-1] in stops for answer in answers) / len(answers),
    )


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Random numbers from `seed` inside; torch's generators go on outside as if nothing had been drawn."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _repeat(prompts: Mapping[str, Tensor], times: int) -> tuple[Tensor, Tensor]:
    ids, mask = (prompts[name].repeat_interleave(times, 0) for name in ("input_ids", "attention_mask"))
    return ids, mask


def _through_end(new_ids: list[int], stops: set[int]) -> list[int]:
    """Up to and including the first token that ends an answer: what follows is padding."""
    end = next((position for position, index in enumerate(new_ids) if index in stops), len(new_ids) - 1)
    return new_ids[: end + 1]


def _batch(heads: list[list[int]], answers: list[list[int]], pad_id: int, device: torch.device) -> dict[str, Tensor]:
    """Right-padded, so that positions count from 0 for every row."""
    rows = [head + answer for head, answer in zip(heads, answers, strict=True)]
    labels = [[IGNORE] * len(head) + answer for head, answer in zip(heads, answers, strict=True)]
    return {
        "input_ids": pad(rows, pad_id).to(device),
        "attention_mask": pad([[1] * len(row) for row in rows], 0).to(device),
        "labels": pad(labels, IGNORE).to(device),
    }
