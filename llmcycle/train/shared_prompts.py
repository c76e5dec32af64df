"""Answers to the same prompt in one row behind it, each read as if the others were not there.

Shapes: B answers of a padded batch, T tokens with the prompt, R rows of several answers, L tokens of such a row, V
tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import create_causal_mask

from llmcycle.data.chat import IGNORE
from llmcycle.train.logprobs import Batch, token_logprobs
from llmcycle.train.models import Models
from llmcycle.train.proving import alike, as_stored

PROMPT, PADDING = 0, -1
MOST = 8  # answers of a row: what attention costs grows with the square of its tokens


@dataclass(frozen=True)
class SharedRows:
    """Answers whose prompts stand once.

    Args:
        input_ids, position_ids: [R, L] prompt and answers; each answer has the places that it has behind the prompt.
        segments: [R, L] 0 for a token of the prompt, n for one of the row's nth answer, -1 for padding.
        rows: [B] the row that each answer stands in.
        places: [B, T] of each token of the padded batch, its place in its row; 0 for padding.
    """

    input_ids: Tensor
    position_ids: Tensor
    segments: Tensor
    rows: Tensor
    places: Tensor


def share(batch: Batch) -> SharedRows:
    """The answers of a right-padded batch; a prompt is what stands before the first token that is to be learnt."""
    ids, there = batch["input_ids"], batch["attention_mask"].bool()
    learnt = (batch["labels"] != IGNORE) & there
    width = torch.arange(ids.shape[1], device=ids.device)
    prompts = (there & (learnt.cumsum(1) == 0)).sum(1)
    heads = [tuple(row[:length]) for row, length in zip(ids.tolist(), prompts.tolist(), strict=True)]
    rows, starts, numbers = laid_out(heads, there.sum(1).tolist()).to(ids.device)
    in_prompt = width < prompts[:, None]
    places = torch.where(in_prompt, width, starts[:, None] + width - prompts[:, None])
    most = int(torch.where(there, places, 0).max()) + 1

    def laid(values: Tensor, filler: int) -> Tensor:
        whole = values.new_full((int(rows.max()) + 1, most + 1), filler)
        whole[rows[:, None].expand_as(places), torch.where(there, places, most)] = values.expand_as(places)
        return whole[:, :most]  # the last column took what is padding in the batch

    return SharedRows(
        laid(ids, 0),
        laid(width, 0),
        laid(torch.where(in_prompt, PROMPT, numbers[:, None]), PADDING),
        rows,
        torch.where(there, places, 0),
    )


def laid_out(heads: list[tuple[int, ...]], lengths: list[int]) -> Tensor:
    """[3, B] of each answer its row, where in it the answer starts, and which of the row's answers it is, from 1.

    Args:
        heads: [B] prompts.
        lengths: [B] tokens of prompt and answer.
    """
    row_of: dict[tuple[int, ...], int] = {}
    filled: list[int] = []  # tokens of each row
    answers: list[int] = []
    places = []
    for head, length in zip(heads, lengths, strict=True):
        row = row_of.get(head)
        if row is None or answers[row] == MOST:
            row = row_of[head] = len(filled)
            filled.append(len(head))
            answers.append(0)
        answers[row] += 1
        places.append((row, filled[row], answers[row]))
        filled[row] += length - len(head)
    return torch.tensor(places).T


def sharing(batch: Batch) -> Callable[..., Callable[..., Any]]:
    """Of a model and its forward pass (None for its own), the pass for `token_logprobs` of this very batch.

    It runs the model on shared rows; its output has `logits` [B, T, V] of the padded batch's tokens.
    """
    rows = share(batch)

    def through(model: Any, forward: Callable[..., Any] | None = None) -> Callable[..., Any]:
        def run(**_: object) -> SimpleNamespace:
            mask = answer_mask(model.config.get_text_config(), rows.segments, model.dtype)
            output = (forward or model)(
                input_ids=rows.input_ids, attention_mask=mask, position_ids=rows.position_ids, use_cache=False
            )
            return SimpleNamespace(logits=output.logits[rows.rows[:, None], rows.places])

        return run

    return through


def answer_mask(config: Any, segments: Tensor, dtype: torch.dtype) -> Any:
    """The `attention_mask` [R, 1, L, L] by which a token sees the prompt and its own answer up to itself."""

    def sees(row: Tensor, _: Tensor, query: Tensor, key: Tensor) -> Tensor:
        of_key = segments[row, key]
        return (of_key == PROMPT) | (of_key == segments[row, query])

    return create_causal_mask(
        config=config,
        inputs_embeds=torch.empty(*segments.shape, 1, device=segments.device, dtype=dtype),  # for shape and dtype
        attention_mask=None,
        past_key_values=None,
        and_mask_function=sees,
    )


def refuse_shared(models: Models, batch: Batch) -> None:
    """Compare every answer's token in shared rows with what it is in a row of its own.

    Raises:
        ValueError: they differ: the architecture reads across answers, or the adapter moves positions.
    """
    if not models.takes_positions:
        raise ValueError(
            "objective.share_prompts: virtual tokens and sharded weights leave no positions to give; "
            "set objective.share_prompts=false"
        )
    with as_stored(models.policy):
        single = token_logprobs(models.policy, batch)
        shared = token_logprobs(models.policy, batch, run=sharing(batch)(models.policy, models.run))
        difference = (shared - single).abs().max().item()
    if not alike(difference, models.policy):
        raise ValueError(
            f"objective.share_prompts: {type(models.policy).__name__} reads a row with several answers otherwise than "
            f"each alone (a token's log-probability differs by {difference:.3g} nats); set "
            "objective.share_prompts=false"
        )
