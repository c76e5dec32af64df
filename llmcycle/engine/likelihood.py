"""What a model makes of given tokens: log-likelihoods, a classifier's scores, restored tokens.

Shapes: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from llmcycle.data.chat import IGNORE
from llmcycle.data.padding import pad
from llmcycle.engine.batching import in_batches, padded
from llmcycle.engine.engine import Engine, Hidden, Labelled, Restored, Stepped
from llmcycle.engine.generation import evaluation_mode
from llmcycle.model import token_logits
from llmcycle.model.document_mask import document_mask

# Logits held at once, in elements (256 MiB in fp32): what bounds a batch for a large vocabulary.
MAX_LOGITS = 2**26


def total(logprobs: Tensor) -> float:
    """Their sum, in double precision."""
    return float(logprobs.double().sum())


def completion_logprobs(engine: Engine, pairs: Sequence[Labelled]) -> list[float]:
    """log p(completion | context) in nats for each pair of (context ids, completion ids).

    Raises:
        ValueError: an empty context, since nothing would predict the first token.
    """
    if any(not context for context, _ in pairs):
        raise ValueError("context: the first token needs something before it; start the sequence with BOS or EOS")
    sequences = [(context + completion, [IGNORE] * len(context) + completion) for context, completion in pairs]
    return [total(logprobs) for logprobs in engine.score(sequences)]


def score(model: PreTrainedModel, sequences: Sequence[Labelled], batch_size: int = 64) -> list[Tensor]:
    """See `Engine.score`."""
    with evaluation_mode(model), torch.no_grad():
        return in_batches(
            sequences,
            lambda batch: _score_batch(model, batch),
            lambda sequence: len(sequence[0]),
            batch_size,
            _tokens_at_once(model),
        )


def _tokens_at_once(model: PreTrainedModel) -> int:
    return int(MAX_LOGITS // model.config.get_text_config().vocab_size)


def _score_batch(model: PreTrainedModel, batch: Sequence[Labelled]) -> list[Tensor]:
    # Right padding: under a causal mask no real token sees it, so neither a pad token nor position ids are needed.
    inputs = padded([ids for ids, _ in batch], 0, model.device)
    labels_BT = pad([labels for _, labels in batch], IGNORE).to(model.device)
    logits_BTV = token_logits(model, inputs["input_ids"], inputs["attention_mask"])
    targets_BT = labels_BT[:, 1:]
    nats_BT = cross_entropy(
        logits_BTV[:, :-1].float().transpose(1, 2), targets_BT, ignore_index=IGNORE, reduction="none"
    )
    return [-nats[targets != IGNORE] for nats, targets in zip(nats_BT.cpu(), targets_BT.cpu(), strict=True)]


def classifier_scores(model: PreTrainedModel, rows: Sequence[list[int]], batch_size: int = 64) -> list[float]:
    """See `Engine.reward`.

    Raises:
        ValueError: the model has another number of outputs.
    """
    if model.config.num_labels != 1:
        raise ValueError(f"model: a reward model has one output, this one {model.config.num_labels}; set num_labels=1")
    filler = model.config.pad_token_id

    def compute(batch: list[list[int]]) -> list[float]:
        return model(**padded(batch, filler or 0, model.device)).logits[:, 0].tolist()  # type: ignore[no-any-return]

    with evaluation_mode(model), torch.no_grad():
        # Without a pad token the classifier can't find the last real one in a padded row.
        return in_batches(rows, compute, len, batch_size if filler is not None else 1)


def step_scores(model: PreTrainedModel, rows: Sequence[Stepped], batch_size: int = 64) -> list[list[float]]:
    """See `Engine.steps`.

    Raises:
        ValueError: the model has another number of outputs a token.
    """
    if model.config.num_labels != 1:
        count = model.config.num_labels
        raise ValueError(f"model: a process reward model has one output a token, this one {count}; set num_labels=1")

    def compute(batch: Sequence[Stepped]) -> list[list[float]]:
        inputs = padded([ids for ids, _ in batch], model.config.pad_token_id or 0, model.device)
        logits_BT = token_logits(model, inputs["input_ids"], inputs["attention_mask"]).squeeze(-1).float().cpu()
        return [logits_BT[row, places].tolist() for row, (_, places) in enumerate(batch)]

    with evaluation_mode(model), torch.no_grad():
        return in_batches(rows, compute, lambda row: len(row[0]), batch_size)


def restore(model: PreTrainedModel, rows: Sequence[Hidden], batch_size: int = 64) -> list[Restored]:
    """See `Engine.masked`."""
    with evaluation_mode(model), torch.no_grad():
        return in_batches(
            rows,
            lambda batch: _restore_batch(model, batch),
            lambda row: len(row.input_ids),
            batch_size,
            _tokens_at_once(model),
        )


def _restore_batch(model: PreTrainedModel, rows: Sequence[Hidden]) -> list[Restored]:
    longest = max(len(row.input_ids) for row in rows)
    # Padding begins a document of its own, which no other sees.
    positions = [[*row.position_ids, *range(longest - len(row.position_ids))] for row in rows]
    positions_BT = torch.tensor(positions, device=model.device)
    ids_BT = pad([row.input_ids for row in rows], 0).to(model.device)
    labels_BT = pad([row.labels for row in rows], IGNORE).to(model.device)
    mask = document_mask(model.config, positions_BT)
    logits_BTV = model(input_ids=ids_BT, position_ids=positions_BT, attention_mask=mask).logits.float()
    nats_BT = cross_entropy(logits_BTV.transpose(1, 2), labels_BT, ignore_index=IGNORE, reduction="none").cpu()
    right_BT, hidden_BT = (logits_BTV.argmax(-1) == labels_BT).cpu(), (labels_BT != IGNORE).cpu()
    return [Restored(-nats_BT[row][at], right_BT[row][at]) for row, at in enumerate(hidden_BT)]
