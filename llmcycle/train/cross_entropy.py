"""Cross-entropy of a large vocabulary without all its logits in memory. Shapes: N tokens, D width, V vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, linear_cross_entropy
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from llmcycle.data.chat import IGNORE


@contextmanager
def without_head(model: PreTrainedModel) -> Iterator[Any]:
    """Inside, the model's `logits` are what its output layer would have been given, [B, T, D]; gives that layer.

    The rest of the forward pass stays the model's own: hooks, adapters, checkpointing and scaled logits keep working.

    Raises:
        ValueError: the model bends its logits by a soft cap, which does not commute with the layer.
    """
    head: Any = model.get_output_embeddings()
    if caps_logits(model):
        raise ValueError(
            "module.loss_chunk and module.z_loss: this model caps its logits, so its own loss must be used; "
            "set module.loss_chunk=null, module.z_loss=0"
        )
    head.forward = _identity  # an attribute of the instance stands before the method of the class
    try:
        yield head
    finally:
        del head.forward


def caps_logits(model: PreTrainedModel) -> bool:
    """Whether its logits are more than its output layer's: bent by a soft cap, as in Gemma 2."""
    return bool(getattr(model.config.get_text_config(), "final_logit_softcapping", None))


def head_cross_entropy(
    hidden_ND: Tensor,
    head: nn.Module,
    labels_N: Tensor,
    chunk: int | None = None,
    z_loss: float = 0.0,
    count: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of `head(hidden)` in nats with z-loss, and without; over labels that are not -100.

    With `chunk` only so many tokens' logits exist at once, by torch's own `linear_cross_entropy`. A layer with an
    adapter on it is called itself, and its logits are computed again for the gradient.

    Args:
        hidden_ND, labels_N: the layer's inputs, and the token that each of them predicts.
        head: the output layer.
        chunk: tokens; None for all.
        z_loss: weight of the mean squared log-partition (PaLM, arXiv:2204.02311, section 5).
        count: what sums are divided by, instead of the number of labels here (transformers' `num_items_in_batch`).
    """
    known_N = labels_N != IGNORE
    hidden_ND, labels_N = hidden_ND[known_N], labels_N[known_N]
    whole = max(len(labels_N), 1) if count is None else count
    if not len(labels_N):
        nothing = hidden_ND.sum()  # 0, with a gradient for every process to reduce
        return nothing, nothing
    if not isinstance(head, nn.Linear):  # its weight is not all of it
        nats_N, log_partition_N = by_layer(hidden_ND, head, labels_N, chunk or len(labels_N))
        nats = nats_N.sum() / whole
        return nats + (z_loss * log_partition_N.square().sum() / whole if z_loss else 0.0), nats
    return _by_weight(hidden_ND, head, labels_N, chunk, z_loss, whole)


def _by_weight(
    hidden_ND: Tensor, head: nn.Linear, labels_N: Tensor, chunk: int | None, z_loss: float, whole: Tensor | int
) -> tuple[Tensor, Tensor]:
    with torch.autocast(hidden_ND.device.type, enabled=False):  # which the chunked operator does not know
        weight_VD = head.weight.to(hidden_ND.dtype)
        bias_V = None if head.bias is None else head.bias.to(hidden_ND.dtype)
        options = None if chunk is None else nn.LinearCrossEntropyOptions(batch_chunk_size=chunk, chunking_method=None)
        loss = partial(linear_cross_entropy, hidden_ND, weight_VD, labels_N, linear_bias=bias_V, options=options)
        if not z_loss:
            nats = loss(reduction="sum") / whole
            return nats, nats
        nats_N = loss(reduction="none")
        chosen_N = (hidden_ND * embedding(labels_N, weight_VD)).sum(-1) + (0 if bias_V is None else bias_V[labels_N])
        log_partition_N = nats_N + chosen_N  # since a token's loss is its log-partition less the logit of its label
        nats = nats_N.sum() / whole
        return nats + z_loss * log_partition_N.square().sum() / whole, nats


def by_layer(
    hidden_ND: Tensor,
    head: nn.Module,
    labels_N: Tensor,
    chunk: int,
    temperature: float = 1.0,
    beside: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Nats and what `beside` makes of logits (their log-partition), each [N] in fp32.

    A chunk's logits are freed at once, and made again for its gradient.
    """

    def part(hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = head(hidden).float() / temperature
        return cross_entropy(logits, labels, reduction="none"), (beside or log_partition)(logits)

    pieces = zip(torch.split(hidden_ND, chunk), torch.split(labels_N, chunk), strict=True)
    parts = [checkpoint(part, *piece, use_reentrant=False) for piece in pieces]
    nats, others = (torch.cat(column) for column in zip(*parts, strict=True))
    return nats, others


def log_partition(logits_NV: Tensor) -> Tensor:
    """[N]."""
    return logits_NV.logsumexp(-1)


def _identity(hidden: Tensor) -> Tensor:
    return hidden
