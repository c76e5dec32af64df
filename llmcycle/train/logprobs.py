"""Log-probabilities of given tokens under a model, and under the model as it was before training.

Shapes: B rows, T tokens, N scored tokens, D width, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from llmcycle.data.chat import IGNORE
from llmcycle.engine import evaluation_mode
from llmcycle.model import moves_base, token_logits
from llmcycle.train.cross_entropy import by_layer, without_head

Batch = Mapping[str, Tensor]


def token_logprobs(
    model: object,
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
    targets_BT = batch["labels"][:, 1:]
    scored_BT = targets_BT != IGNORE
    targets_N = targets_BT[scored_BT]
    forward: Any = run or model
    if chunk is None:
        logits_BTV = token_logits(forward, batch["input_ids"], batch["attention_mask"])[:, :-1]
        # Only positions that predict a label go through the softmax: most of a batch is prompt and padding.
        nats_N = cross_entropy(logits_BTV[scored_BT].float() / temperature, targets_N, reduction="none")
    else:
        with without_head(model) as head:
            hidden_BTD = token_logits(forward, batch["input_ids"], batch["attention_mask"])[:, :-1]
        nats_N, _ = by_layer(hidden_BTD[scored_BT], head, targets_N, chunk, temperature)
    return torch.zeros(targets_BT.shape, device=nats_N.device).masked_scatter(scored_BT, -nats_N)


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
        self.model: Any = model if self.adapted else copy.deepcopy(model).eval().requires_grad_(False)
        self.known: dict[bytes, float] = {}

    @torch.no_grad()
    def token_logprobs(self, batch: Batch, temperature: float = 1.0) -> Tensor:
        """As the function of this name, without gradients."""
        if not self.adapted:
            self.model.to(batch["input_ids"].device)
            return token_logprobs(self.model, batch, temperature, self.chunk)
        with evaluation_mode(self.model), self.model.disable_adapter():
            return token_logprobs(self.model, batch, temperature, self.chunk)

    def logprobs(self, batch: Batch) -> Tensor:
        """[B] summed over each row's labels. A row is scored once and remembered: it comes back every epoch."""
        keys = [_key(*row) for row in zip(batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True)]
        if not self.known.keys() >= set(keys):
            self.known.update(zip(keys, self.token_logprobs(batch).sum(1).tolist(), strict=True))
        return torch.tensor([self.known[key] for key in keys], device=batch["input_ids"].device)


def _key(input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> bytes:
    """A row's tokens and labels without its padding."""
    return torch.stack([input_ids, labels])[:, attention_mask.bool()].cpu().numpy().tobytes()
