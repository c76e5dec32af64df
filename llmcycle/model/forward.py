"""Forward passes that mean the same for a plain model and for one under an adapter. Shapes: B rows, T tokens, V tokens
of the vocabulary."""

from __future__ import annotations

from torch import Tensor, nn


def token_logits(model: nn.Module, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Logits [B, T, V] of exactly the given tokens: those of virtual tokens (prompt tuning) are cut off."""
    logits: Tensor = model(input_ids=input_ids, attention_mask=attention_mask).logits
    return logits[:, -input_ids.shape[1] :] if logits.dim() == 3 else logits
