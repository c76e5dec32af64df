"""A proof before training: packed rows are read as if each of their pieces were alone. Shapes: B rows, T tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from llmcycle.data.packing import apart
from llmcycle.engine import evaluation_mode
from llmcycle.train import Models

ROUNDINGS = 1000  # of the model's dtype, in nats of one token: 1e-4 in fp32; reading a neighbour moves it by far more
Logits = Callable[[Models, dict[str, Tensor]], tuple[Tensor, Tensor]]


def refuse_leaking_rows(models: Models, logits: Logits, batch: dict[str, Tensor]) -> None:
    """Compare every label's loss in a packed batch with its loss where each piece is a row of its own.

    Args:
        logits: gives those [N, V] that are to predict labels, and the labels [N].

    Raises:
        ValueError: they differ: the architecture reads across pieces, or the adapter moves positions.
    """
    if not models.takes_positions:
        raise ValueError(
            "batches.pack: rows can't be packed under virtual tokens (peft drops their position ids) "
            "or sharded weights; set batches.pack=false"
        )
    packed, single = (_nats(models, logits, form) for form in (batch, apart(batch)))
    difference = (packed - single).abs().max().item()
    if not difference <= max(ROUNDINGS * torch.finfo(models.policy.dtype).eps, 1e-4):
        kind = type(models.policy).__name__
        raise ValueError(
            f"batches.pack: {kind} reads a packed row otherwise than its pieces alone (a token's loss differs by "
            f"{difference:.3g} nats), so it can't be trained on packed rows; set batches.pack=false"
        )


def _nats(models: Models, logits: Logits, batch: dict[str, Tensor]) -> Tensor:
    there = {name: tensor.to(models.device) for name, tensor in batch.items()}
    with evaluation_mode(models.policy), torch.no_grad():
        return cross_entropy(*logits(models, there), reduction="none")
