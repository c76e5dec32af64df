"""A proof before training: packed rows are read as if each of their pieces were alone. Shapes: B rows, T tokens."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from llmcycle.data.packing import apart
from llmcycle.engine import evaluation_mode

ROUNDINGS = 1000  # of the model's dtype, in nats of one token: 1e-4 in fp32; reading a neighbour moves it by far more


class Learner(Protocol):
    """What is proved about: a module with labelled logits."""

    model: Any

    @property
    def device(self) -> torch.device: ...
    @property
    def packs(self) -> bool: ...
    def logits(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]: ...


def refuse_leaking_rows(learner: Learner, batch: dict[str, Tensor]) -> None:
    """Compare every label's loss in a packed batch with its loss where each piece is a row of its own.

    Raises:
        ValueError: they differ: the architecture reads across pieces, or the adapter moves positions.
    """
    if not learner.packs:
        raise ValueError(
            "batches.pack: rows can't be packed under virtual tokens (peft drops their position ids) "
            "or sharded weights; set batches.pack=false"
        )
    packed, single = (_nats(learner, form) for form in (batch, apart(batch)))
    difference = (packed - single).abs().max().item()
    if not difference <= max(ROUNDINGS * torch.finfo(learner.model.dtype).eps, 1e-4):
        kind = type(learner.model).__name__
        raise ValueError(
            f"batches.pack: {kind} reads a packed row otherwise than its pieces alone (a token's loss differs by "
            f"{difference:.3g} nats), so it can't be trained on packed rows; set batches.pack=false"
        )


def _nats(learner: Learner, batch: dict[str, Tensor]) -> Tensor:
    given = {name: tensor.to(learner.device) for name, tensor in batch.items()}
    with evaluation_mode(learner.model), torch.no_grad():
        return cross_entropy(*learner.logits(given), reduction="none")
