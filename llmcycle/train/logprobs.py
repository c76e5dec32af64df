"""Log-probabilities of given tokens under a model, and under the model as it was before training.

Shapes: B rows, T tokens, N scored tokens, D width, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.nn.functional import cross_entropy

from llmcycle.data.chat import IGNORE
from llmcycle.engine import evaluation_mode
from llmcycle.model import measure, moves_base, token_logits
from llmcycle.train.cross_entropy import by_layer, caps_logits, without_head

Batch = Mapping[str, Tensor]
Through = Callable[..., Callable[..., Any]]  # of a model and its forward pass, one for a batch that is laid out anew


def as_it_is(model: Any, forward: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """The forward pass of a batch that is not laid out anew: the one that is given, or the model's own."""
    return forward or model


def token_logprobs(
    model: Any,
    batch: Batch,
    temperature: float = 1.0,
    chunk: int | None = None,
    run: Callable[..., Any] | None = None,
) -> Tensor:
    """Log-probability in nats of each label given the tokens before it.

    Args:
        batch: input_ids, attention_mask and labels, all [B, T]; a label of -100 is not scored.
        temperature: of the softmax.
        chunk: tokens whose logits exist at once; None for all. They are computed again for the gradient.
        run: the model's forward pass, where it is compiled.

    Returns:
        [B, T - 1] in fp32, 0 where there is no label. Entry t belongs to `labels[:, t + 1]`.
    """
    return token_logprobs_with(None, model, batch, temperature, chunk, run)[0]


def token_logprobs_with(
    statistic: Callable[[Tensor], Tensor] | None,
    model: Any,
    batch: Batch,
    temperature: float = 1.0,
    chunk: int | None = None,
    run: Callable[..., Any] | None = None,
    grad: bool = False,
) -> tuple[Tensor, Tensor]:
    """`token_logprobs`, and beside it what else is read off the same logits.

    Args:
        statistic: from fp32 logits [N, V], over the temperature already, one value [N] a token; None for zeros.
        grad: whether that has a gradient too.

    Returns:
        [B, T - 1] and [B, T - 1] in fp32, 0 where there is no label.
    """
    targets_BT = batch["labels"][:, 1:]
    scored_BT = targets_BT != IGNORE
    targets_N = targets_BT[scored_BT]
    forward: Any = run or model

    def beside(logits_NV: Tensor) -> Tensor:
        if statistic is None:
            return logits_NV.new_zeros(len(logits_NV))
        return statistic(logits_NV if grad else logits_NV.detach())

    if chunk is None:
        logits_NV = scored_logits(model, forward, batch, scored_BT).float() / temperature
        nats_N = cross_entropy(logits_NV, targets_N, reduction="none")
        values_N = beside(logits_NV)
    else:
        with without_head(model) as head:
            hidden_BTD = token_logits(forward, batch["input_ids"], batch["attention_mask"])[:, :-1]
        nats_N, values_N = by_layer(hidden_BTD[scored_BT], head, targets_N, chunk, temperature, beside)
    empty = torch.zeros(targets_BT.shape, device=nats_N.device)
    return empty.masked_scatter(scored_BT, -nats_N), empty.masked_scatter(scored_BT, values_N)


def scored_logits(model: Any, forward: Any, batch: Batch, scored_BT: Tensor) -> Tensor:
    """[N, V] at the positions that predict a label: most of a batch is prompt and padding, which costs no logits."""

    def at_labels() -> Tensor:
        return token_logits(forward, batch["input_ids"], batch["attention_mask"])[:, :-1][scored_BT]

    if caps_logits(model) or isinstance(model, FSDPModule):  # sharded weights are whole within the model's own pass
        return at_labels()
    with without_head(model) as head:
        hidden_ND = at_labels()
    logits_NV: Tensor = head(hidden_ND)
    return logits_NV


def log_collision(logits_NV: Tensor) -> Tensor:
    """[N] log sum_v p(v)^2 from logits [N, V]: the log of the mean probability of a token that the model draws."""
    return (2 * logits_NV).logsumexp(-1) - 2 * logits_NV.logsumexp(-1)


def entropy(logits_NV: Tensor, piece: int = 256) -> Tensor:
    """[N] in nats, from logits [N, V]: a large vocabulary's probabilities exist for a few tokens at once."""

    def of(part: Tensor) -> Tensor:
        logprobs = part.log_softmax(-1)
        return -(logprobs.exp() * logprobs).sum(-1)

    return torch.cat([of(part) for part in torch.split(logits_NV, piece)])


def completion_mask(batch: Batch) -> Tensor:
    """[B, T - 1] true where `token_logprobs` scores a token."""
    return batch["labels"][:, 1:] != IGNORE


class Reference:
    """The model before training: a frozen copy, or the same weights with the adapter off where there is one.

    It is no part of the module that holds it, so checkpoints don't carry it: build it from the starting model.

    Args:
        model: the model that will be trained.
        chunk: tokens whose logits exist at once; None for all.
    """

    def __init__(self, model: nn.Module, chunk: int | None = None) -> None:
        self.adapted, self.chunk = isinstance(model, PeftModel), chunk
        if moves_base(model):
            raise ValueError(
                "peft: this method starts by taking a part out of the weights below it, so that the model before "
                "training, which this loss needs as its reference, is gone; choose peft=lora, peft=dora or peft=none"
            )
        self.model: Any = model if self.adapted else self.kept(model)
        self.known: dict[str, float] = {}

    def kept(self, model: nn.Module) -> nn.Module:
        """What answers for the model before training when that has no adapter to switch off."""
        return copy.deepcopy(model).eval().requires_grad_(False)

    @property
    def own_bytes(self) -> int:
        """Bytes of weights that stand in memory for the reference alone."""
        return 0 if self.adapted else measure(self.model).weights

    @torch.no_grad()
    def token_logprobs(self, batch: Batch, temperature: float = 1.0, through: Through = as_it_is) -> Tensor:
        """As the function of this name, without gradients; `through` gives the forward pass of a model."""
        run = through(self.model)
        if not self.adapted:
            self.model.to(batch["input_ids"].device)
            return token_logprobs(self.model, batch, temperature, self.chunk, run)
        with evaluation_mode(self.model), self.model.disable_adapter():
            return token_logprobs(self.model, batch, temperature, self.chunk, run)

    def logprobs(self, batch: Batch, through: Through = as_it_is) -> Tensor:
        """[B] summed over each row's labels. A row is scored once and remembered: it comes back every epoch."""
        tokens = torch.stack([batch["input_ids"], batch["labels"]]).cpu().numpy()
        keys = [
            row_key(tokens[:, row, there]) for row, there in enumerate(batch["attention_mask"].bool().cpu().numpy())
        ]
        if not self.known.keys() >= set(keys):
            logprobs = self.token_logprobs(batch, through=through).sum(1)
            self.known.update(zip(keys, logprobs.tolist(), strict=True))
        return torch.tensor([self.known[key] for key in keys], device=batch["input_ids"].device)


def row_key(tokens: NDArray[np.int64]) -> str:
    """A row without its padding, its input_ids and labels [2, T], in a few bytes."""
    return blake2b(tokens.tobytes(), digest_size=16).hexdigest()
