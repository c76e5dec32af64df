"""Two models that learn together, as a policy and its critic will, in one process or in two that share the work."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import torch
from conftest import byte_tokenizer
from learners import learner
from tiny_run import batches, run
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from llmcycle.train import Learner, Models, Objective

SIZES = {"vocab_size": 261, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}


class Pair(Objective):
    """The policy's loss on each row, and a critic that learns to foresee it; means over rows, for any share of them."""

    reads = "labelled"
    roles = trains = ("policy", "critic")

    def loss(self, models: Models, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        logits, labels = models.run(**inputs, use_cache=False).logits[:, :-1], batch["labels"][:, 1:]
        nats = cross_entropy(logits.transpose(1, 2), labels, reduction="none").sum(1) / (labels >= 0).sum(1)
        foreseen = models.get_submodule("critic")(**inputs).logits[:, 0]
        error = (foreseen - nats.detach()).square().mean()
        return nats.mean() + 0.5 * error, {"error": error.detach()}


def pair(dropout: float = 0.2, **options: Any) -> Learner:
    torch.manual_seed(1)
    config = partial(LlamaConfig, num_attention_heads=2, attention_dropout=dropout, pad_token_id=0, **SIZES)
    policy, critic = LlamaForCausalLM(config()), LlamaForSequenceClassification(config(num_labels=1))
    optim = partial(torch.optim.AdamW, lr=1e-2)
    return learner(policy, Pair(), optim=optim, others={"critic": critic}, **options)


def losses(folder: Path, **options: Any) -> list[float]:
    """Of a run without dropout, so that processes that share it draw nothing."""
    data = batches(byte_tokenizer(), 0, packed=False)
    return [float(loss) for loss in run(folder, data, trained=pair(dropout=0.0), **options).losses]


def work(rank: int, port: int, folder: Path, strategies: dict[str, Any]) -> None:
    """One of two processes; the first writes what it has seen of each strategy."""
    os.environ |= {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    seen = {name: losses(folder / name, strategy=each, devices=2) for name, each in strategies.items()}
    if rank == 0:
        (folder / "losses.json").write_text(json.dumps(seen))
