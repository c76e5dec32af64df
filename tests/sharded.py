"""Two processes that each hold half of a model, for tests of what must not notice it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from conftest import byte_tokenizer, random_llama
from learners import learner
from torch.distributed.device_mesh import init_device_mesh

from llmcycle.data.encode import Packed
from llmcycle.pretrain import NextToken
from llmcycle.train.groups import role_groups
from llmcycle.train.optimizers import Muon

ROWS = [{"text": "the quick brown fox"[: 5 + i]} for i in range(10)]
OPTIMISERS = {"adamw": partial(torch.optim.AdamW, lr=1e-2, fused=True), "muon": partial(Muon, lr=1e-2)}


def losses(mesh: Any, optimiser: str, options: dict[str, Any]) -> list[float]:
    """Of three steps on one batch; the model is spread over `mesh` if there is one."""
    tokenizer = byte_tokenizer()
    encode = Packed(48)
    batch = encode.collate(encode.encode(ROWS, tokenizer), 0)
    objective = NextToken(options.get("z_loss", 0.0))
    rest = {name: value for name, value in options.items() if name != "z_loss"}
    module = learner(random_llama(len(tokenizer)), objective, **rest).train()
    if mesh is not None:
        module.models.shard(mesh)
    optimizer = OPTIMISERS[optimiser](role_groups(module.models.trained()))
    found = []
    for _ in range(3):
        loss, _ = module.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def work(rank: int, rendezvous: Path, options: dict[str, Any]) -> None:
    """One of the two processes."""
    os.environ["OMP_NUM_THREADS"] = "1"
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    for optimiser in OPTIMISERS:
        sharded, whole = (losses(each, optimiser, options) for each in (mesh, None))
        torch.testing.assert_close(sharded, whole, rtol=1e-5, atol=1e-6)
    dist.destroy_process_group()
