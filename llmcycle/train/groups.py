"""Which trained parameters the optimiser takes together, and their names in the optimiser's own order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer
from transformers import PreTrainedModel

from llmcycle.model import lr_ratios

HIDDEN, HEAD, PLAIN = range(3)  # kinds of parameters, in the order of the optimiser's groups
KINDS: tuple[dict[str, Any], ...] = ({"kind": "hidden"}, {"kind": "head"}, {"kind": "plain", "weight_decay": 0.0})


def role_groups(trained: Iterable[tuple[str, nn.Module]]) -> list[dict[str, Any]]:
    """`decay_groups` of one model after the other, each with the `role` of its model."""
    return [{**group, "role": role} for role, model in trained for group in decay_groups(model)]


def decay_groups(model: PreTrainedModel) -> list[dict[str, Any]]:
    """Trainable parameters by `kind`: "hidden" matrices, the output "head" if it has a matrix of its own, and "plain".

    The plain ones (norms, biases, embeddings) do not decay. Those that learn faster (LoRA+) have a group of their own.
    """
    ratios = lr_ratios(model)
    embeddings = {id(p) for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    head = getattr(model, "get_output_embeddings", lambda: None)()
    heads = {id(p) for p in head.parameters()} if head else set()
    groups: dict[tuple[int, float], list[nn.Parameter]] = {}
    for p in model.parameters():
        kind = PLAIN if p.ndim < 2 or id(p) in embeddings else HEAD if id(p) in heads else HIDDEN
        if p.requires_grad:
            groups.setdefault((kind, ratios.get(id(p), 1.0)), []).append(p)
    return [
        {"params": params, **KINDS[kind], **({} if ratio == 1 else {"lr_ratio": ratio})}
        for (kind, ratio), params in sorted(groups.items())
    ]


def parameter_names(module: nn.Module, optimizer: Optimizer) -> list[str]:
    """Names of the trained parameters in the order in which the optimiser counts them."""
    names = {id(p): name for name, p in module.named_parameters()}
    return [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
