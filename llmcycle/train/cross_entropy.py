"""Cross-entropy of a large vocabulary without all its logits in memory. Shapes: N tokens, D width, V vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
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
    if getattr(model.config.get_text_config(), "final_logit_softcapping", None):
        raise ValueError(
            "module.loss_chunk and module.z_loss: this model caps its logits, so its own loss must be used; "
            "set module.loss_chunk=null, module.z_loss=0"
        )
    head.forward = _identity  # an attribute of the instance stands before the method of the class
    try:
        yield head
    finally:
        del head.forward


def head_cross_entropy(
    hidden_ND: Tensor,
    head: nn.Linear,
    labels_N: Tensor,
    chunk: int | None = None,
    count: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of `head(hidden)` in nats, and mean squared log-partition, over labels that are not -100.

    With `chunk` the logits of so many tokens exist at once: they are computed again for the gradient, so a step costs
    one more product with the output layer. torch 2.13's `linear_cross_entropy` needs no second product, but gives no
    log-partition and does not know autocast.

    Args:
        hidden_ND, labels_N: the layer's inputs, and the token that each of them predicts.
        chunk: tokens; None for all.
        count: what sums are divided by, instead of the number of labels here (transformers' `num_items_in_batch`).
    """
    known = labels_N != IGNORE
    hidden_ND, labels_N = hidden_ND[known], labels_N[known]
    if chunk is None:
        sums = _sums(hidden_ND, head.weight, head.bias, labels_N)
    else:
        parts = zip(torch.split(hidden_ND, chunk), torch.split(labels_N, chunk), strict=True)
        sums = torch.stack(
            [checkpoint(_sums, h, head.weight, head.bias, labels, use_reentrant=False) for h, labels in parts]
        ).sum(0)
    nats, squared = sums / (max(len(labels_N), 1) if count is None else count)
    return nats, squared


def _sums(hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, labels_N: Tensor) -> Tensor:
    """[2]: the sum of cross-entropies, and that of squared log-partitions."""
    logits_NV = linear(hidden_ND, weight_VD, bias_V).float()
    log_partition_N = logits_NV.logsumexp(-1)
    chosen_N = logits_NV.gather(-1, labels_N[:, None]).squeeze(-1)
    return torch.stack([(log_partition_N - chosen_N).sum(), log_partition_N.square().sum()])


def _identity(hidden: Tensor) -> Tensor:
    return hidden
