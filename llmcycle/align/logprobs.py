"""Log-probabilities of given tokens under a model. Shapes: B rows, T tokens, V vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from llmcycle.model import token_logits

IGNORE = -100


def token_logprobs(model: nn.Module, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
    """Log-probability in nats of each label given the tokens before it.

    Args:
        input_ids, attention_mask, labels: [B, T]; a label of -100 is not scored.

    Returns:
        [B, T - 1], in fp32, 0 where the label is not scored. Entry t belongs to `labels[:, t + 1]`.
    """
    # Only the positions that predict a label go through the softmax: prompts and padding are most of a batch.
    logits_BTV = token_logits(model, input_ids, attention_mask)[:, :-1]
    targets_BT = labels[:, 1:]
    scored = targets_BT != IGNORE
    found = torch.zeros(targets_BT.shape, dtype=torch.float32, device=logits_BTV.device)
    found[scored] = -cross_entropy(logits_BTV[scored].float(), targets_BT[scored], reduction="none")
    return found
