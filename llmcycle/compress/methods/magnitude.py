"""Pruning by magnitude."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from llmcycle.compress.methods.method import Row
from llmcycle.compress.size import linear_layers
from llmcycle.quantities import Share


@dataclass(frozen=True)
class Magnitude:
    """Sets the weights of linear layers that are nearest to 0 to 0: Han et al. (2015), arXiv:1506.02626.

    Args:
        sparsity: share of the weights that become 0.
        compare: among which weights it is taken: those of a whole "layer", or of each "row" (an output), of which all
            then lose as many.
    """

    sparsity: Share = 0.5
    compare: Literal["layer", "row"] = "layer"

    @torch.no_grad()
    def __call__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,  # noqa: ARG002
        rows: Sequence[Row],  # noqa: ARG002  it needs no calibration
    ) -> PreTrainedModel:
        """The model, changed in place."""
        for layer in linear_layers(model).values():
            groups = layer.weight if self.compare == "row" else layer.weight.view(1, -1)
            groups.masked_fill_(smallest(groups.abs(), self.sparsity), 0)
        return model


def smallest(scores: Tensor, share: float) -> Tensor:
    """[R, C] where the lowest `share` of each row's C scores is; of equals those that stand first."""
    order = scores.argsort(dim=-1, stable=True)[:, : round(share * scores.shape[-1])]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, order, True)
