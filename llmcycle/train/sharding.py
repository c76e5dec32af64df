"""Fully sharded data parallelism (FSDP2), and the whole model put together again from its shards."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from transformers import PreTrainedModel


def skeleton(model: nn.Module) -> Any:
    """A copy without memory for its weights: shapes on the meta device, ties and buffers as they are."""
    memo: dict[int, Any] = {
        id(p): nn.Parameter(p.detach().to("meta"), requires_grad=p.requires_grad) for p in model.parameters()
    }
    return copy.deepcopy(model, memo)


def shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """Spread every transformer block, and then the rest, over the processes of `mesh`; in place."""
    blocks = set(getattr(model, "_no_split_modules", None) or ())
    for module in [m for m in model.modules() if type(m).__name__ in blocks]:
        fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)


def gather(model: nn.Module, empty: PreTrainedModel) -> Any:
    """`empty`, a `skeleton`, filled with the whole weights on the first process; all processes take part."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state: dict[str, Any] = get_model_state_dict(model, options=options)
    if not state:
        return empty
    empty.load_state_dict(state, assign=True, strict=False)
    empty.tie_weights()
    assert all(p.device != torch.device("meta") for p in empty.parameters()), "a weight was not gathered"
    return empty
