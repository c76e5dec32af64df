"""What proofs before training have in common: two ways to read the same rows must give the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from llmcycle.engine import evaluation_mode

ROUNDINGS = 1000  # of the model's dtype: 1e-4 nats of one token in fp32; reading a neighbour moves it by far more


@contextmanager
def as_stored(model: PreTrainedModel) -> Iterator[None]:
    """No dropout, no gradient, products in the dtype of the weights: autocast's rounding would look like a fault."""
    with evaluation_mode(model), torch.no_grad(), torch.autocast(model.device.type, enabled=False):
        yield


def alike(difference: float, model: PreTrainedModel) -> bool:
    """Whether a token's log-probability differs, in nats, by no more than the model's rounding; not where it is NaN."""
    return difference <= max(ROUNDINGS * torch.finfo(model.dtype).eps, 1e-4)
