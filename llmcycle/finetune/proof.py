"""A proof before training: packed rows are read as if each of their pieces were alone. Shapes: B rows, T tokens."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import cross_entropy

from llmcycle.data.packing import apart
from llmcycle.train import Models
from llmcycle.train.proving import alike, as_stored

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
    if not alike(difference, models.policy):
        kind = type(models.policy).__name__
        raise ValueError(
            f"batches.pack: {kind} reads a packed row otherwise than its pieces alone (a token's loss differs by "
            f"{difference:.3g} nats), so it can't be trained on packed rows; set batches.pack=false"
        )


def _nats(models: Models, logits: Logits, batch: dict[str, Tensor]) -> Tensor:
    there = {name: tensor.to(models.device) for name, tensor in batch.items()}
    with as_stored(models.policy):
        return cross_entropy(*logits(models, there), reduction="none")
