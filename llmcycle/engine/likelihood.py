"""Log-likelihood of token sequences under a causal language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from llmcycle.data.chat import IGNORE
from llmcycle.data.padding import pad
from llmcycle.engine.generation import evaluation_mode
from llmcycle.model import token_logits

# Logits held at once, in elements (256 MiB in fp32): what bounds a batch for a large vocabulary.
MAX_LOGITS = 2**26


class Scored(NamedTuple):
    """Sum of the log-probabilities in nats over the labelled tokens, and how many there were."""

    logprob: float
    tokens: int


def completion_logprobs(
    model: PreTrainedModel, pairs: Sequence[tuple[list[int], list[int]]], batch_size: int = 64
) -> list[float]:
    """log p(completion | context) in nats for each pair of (context ids, completion ids).

    Raises:
        ValueError: an empty context, since nothing would predict the first token.
    """
    if any(not context for context, _ in pairs):
        raise ValueError("context: the first token needs something before it; start the sequence with BOS or EOS")
    sequences = [(context + completion, [IGNORE] * len(context) + completion) for context, completion in pairs]
    return [scored.logprob for scored in score_sequences(model, sequences, batch_size)]


def score_sequences(
    model: PreTrainedModel, sequences: Sequence[tuple[list[int], list[int]]], batch_size: int = 64
) -> list[Scored]:
    """Score each pair of (input_ids, labels) of equal length; labels of -100 and the first token are not scored."""
    scores: list[Scored] = [Scored(0.0, 0)] * len(sequences)
    order = sorted(range(len(sequences)), key=lambda index: -len(sequences[index][0]))
    with evaluation_mode(model):
        while order:
            width = max(len(sequences[order[0]][0]), 1)
            rows = max(1, min(batch_size, MAX_LOGITS // (width * model.config.get_text_config().vocab_size)))
            batch, order = order[:rows], order[rows:]
            for index, scored in zip(batch, _score_batch(model, [sequences[i] for i in batch]), strict=True):
                scores[index] = scored
    return scores


@torch.no_grad()
def _score_batch(model: PreTrainedModel, batch: list[tuple[list[int], list[int]]]) -> list[Scored]:
    # Right padding: under a causal mask no real token sees it, so neither a pad token nor position ids are needed.
    input_ids_BT = pad([ids for ids, _ in batch], 0).to(model.device)
    labels_BT = pad([labels for _, labels in batch], IGNORE).to(model.device)
    mask_BT = pad([[1] * len(ids) for ids, _ in batch], 0).to(model.device)
    logits_BTV = token_logits(model, input_ids_BT, mask_BT)
    targets_BT = labels_BT[:, 1:]
    nll_BT = cross_entropy(
        logits_BTV[:, :-1].float().transpose(1, 2), targets_BT, ignore_index=IGNORE, reduction="none"
    )
    counts = (targets_BT != IGNORE).sum(1).tolist()
    sums = nll_BT.double().sum(1).tolist()
    return [Scored(-total, count) for total, count in zip(sums, counts, strict=True)]
