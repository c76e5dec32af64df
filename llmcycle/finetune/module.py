"""Learning answers: cross-entropy of the completion given its prompt."""

from __future__ import annotations

import torch
from torch import Tensor

from llmcycle.train import TrainedModule


class Supervised(TrainedModule):
    """Mean cross-entropy over the batch's labelled tokens, in nats: transformers' own loss, equal to TRL's SFTTrainer.

    With `accumulate_grad_batches` each batch counts the same, however many labelled tokens it has.
    """

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """`batch` is that of `llmcycle.data.encode.Completion`. Also the share of labelled tokens ranked first."""
        output = self.model(**batch, use_cache=False)
        return output.loss, {"token_accuracy": token_accuracy(output.logits.detach(), batch["labels"])}


def token_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of labelled tokens that have the highest logit. Logits [B, P + T, V] may begin with P virtual tokens."""
    predicted = logits[:, -labels.shape[1] : -1].argmax(-1)
    targets = labels[:, 1:]
    known = targets >= 0
    return (predicted == targets)[known].float().sum() / torch.clamp(known.sum(), min=1)
