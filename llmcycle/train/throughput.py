"""How much of the machine training uses: arithmetic a token needs, over the matrix products that the machine can do."""

from __future__ import annotations

import time
from functools import cache

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

SIDE = {"cpu": 1536, "cuda": 8192}  # of the square matrices whose product is timed
REPEATS = 5


def flops_per_token(model: PreTrainedModel, length: float) -> float:
    """Floating-point operations of a training step for one token (PaLM, arXiv:2204.02311, appendix B).

    2 a weight forwards, 2 backwards to what came before, 2 more for a weight that is trained; and in each attention
    layer 12 x width x length, as if every token looked at all of its sequence. Of experts those that a token visits.

    Args:
        length: tokens of a sequence.
    """
    config = model.config.get_text_config()
    shares = expert_share(config)
    weights = [(p.numel() * (shares if "experts" in name else 1.0), p.requires_grad) for name, p in matrices(model)]
    attention = 12 * config.num_hidden_layers * config.hidden_size * length
    return float(sum(count * (6 if trained else 4) for count, trained in weights) + attention)


def matrices(model: PreTrainedModel) -> list[tuple[str, nn.Parameter]]:
    """Weights that are multiplied with: not an embedding's, whose rows are looked up, unless the output layer is it."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    looked_up = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    looked_up -= {id(p) for p in head.parameters()} if head is not None else set()
    return [(name, p) for name, p in model.named_parameters() if p.ndim >= 2 and id(p) not in looked_up]


def expert_share(config: PreTrainedConfig) -> float:
    """Of the experts of a mixture, the share that each token visits; 1 where there are none."""
    experts = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None)
    return float(config.num_experts_per_tok / experts) if experts else 1.0


@cache
def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of this machine's own matrix product, the best of a few."""
    side = SIDE.get(device.type, SIDE["cpu"])
    a = torch.ones(side, side, device=device, dtype=dtype)
    return 2 * side**3 / min(_product_seconds(a) for _ in range(REPEATS))


def _product_seconds(a: torch.Tensor) -> float:
    synchronise(a.device)
    start = time.perf_counter()
    a @ a
    synchronise(a.device)
    return time.perf_counter() - start


def synchronise(device: torch.device) -> None:
    """Wait for what a GPU still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def product_dtype(precision: str | int) -> torch.dtype:
    """In what type matrices are multiplied under Lightning's `precision`."""
    text = str(precision)
    return torch.bfloat16 if "bf16" in text else torch.float16 if text.startswith("16") else torch.float32
