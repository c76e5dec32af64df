"""How far a policy has come from what it was before training, by its own answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor

from llmcycle.data.chat import IGNORE
from llmcycle.data.padding import pad
from llmcycle.engine import Labelled, TransformersEngine, evaluation_mode
from llmcycle.train.logprobs import Reference, token_logprobs


def log_ratios(engine: TransformersEngine, reference: Reference, sequences: Sequence[Labelled]) -> list[float]:
    """Of each answer the log of how much likelier the policy finds it than the reference, in nats.

    Their mean over answers that the policy drew at temperature 1 is its KL to the reference, without bias.
    """
    ratios: list[float] = []
    filler = cast(int, engine.tokenizer.pad_token_id or 0)
    for batch in _batches(sequences, engine.batch_size, filler, engine.model.device):
        with torch.no_grad(), evaluation_mode(engine.model):
            now = token_logprobs(engine.model, batch).sum(1)
            ratios += (now - reference.token_logprobs(batch).sum(1)).tolist()
    return ratios


def _batches(
    sequences: Sequence[Labelled], size: int, filler: int, device: torch.device
) -> Iterator[dict[str, Tensor]]:
    for start in range(0, len(sequences), size):
        part = sequences[start : start + size]
        yield {
            "input_ids": pad([ids for ids, _ in part], filler).to(device),
            "attention_mask": pad([[1] * len(ids) for ids, _ in part], 0).to(device),
            "labels": pad([labels for _, labels in part], IGNORE).to(device),
        }
