"""Next-token prediction over packed documents."""

from __future__ import annotations

from torch import Tensor

from llmcycle.train import TrainedModule


class NextToken(TrainedModule):
    """Cross-entropy of every token given those before it in its document, in nats a token: transformers' own loss."""

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """`batch` is that of `llmcycle.data.encode.Packed`."""
        return self.model(**batch, use_cache=False).loss, {}
