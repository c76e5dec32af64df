"""What a model does on a probe, layer by layer, so that two models can be compared after one of them is gone.

Shapes: B rows, T tokens, V vocabulary, D width of a layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from llmcycle.model import token_logits

Model: TypeAlias = PreTrainedModel | PeftModel
Probe: TypeAlias = Mapping[str, Tensor]  # a few tokenised rows: input_ids, attention_mask [B, T]; more are ignored

NEW_TOKENS = 16  # greedy tokens compared for each row of the probe
RECORD = {"return_dict_in_generate": True, "output_logits": True}
VIEWS = 4  # random directions along which a layer's output is kept: enough to tell layers apart, at every position
ROWS = 8192  # of an embedding, looked up at once


@dataclass(frozen=True)
class Observation:
    """What one model does on a probe.

    Args:
        logits: at real tokens, [n, V] in fp32.
        greedy: continuations, [B, S]; empty for a model that does not generate.
        greedy_logits: from which they were chosen, [B, S, V] in fp32.
        layers: what each layer gave, [positions, VIEWS], in the order of execution.
        embedding: of every token, also of those that the probe lacks, [V, VIEWS].
    """

    logits: Tensor
    greedy: Tensor
    greedy_logits: Tensor
    layers: dict[str, Tensor] = field(default_factory=dict)
    embedding: Tensor = field(default_factory=lambda: torch.empty(0, VIEWS))


@torch.no_grad()
def observe(model: Model, probe: Probe, *, aligned: bool = False) -> Observation:
    """Run the model on the probe in evaluation mode.

    Args:
        aligned: run a copy. A product with a single row rounds by where its operands lie in memory, and tensors mapped
            from a file lie elsewhere than new ones. Copies lie alike, so that equal numbers give equal logits, to the
            last bit.
    """
    model = copy.deepcopy(model) if aligned else model
    model.eval()
    device = next(model.parameters()).device
    input_ids, attention_mask = probe["input_ids"].to(device), probe["attention_mask"].to(device)
    layers: dict[str, Tensor] = {}
    handles = [m.register_forward_hook(_recorder(layers, name)) for name, m in below(model).named_modules() if name]
    logits = token_logits(model, input_ids, attention_mask)
    for handle in handles:
        handle.remove()
    at_tokens = logits[attention_mask.bool()] if logits.dim() == 3 else logits
    greedy = _greedy(model, input_ids, attention_mask)
    return Observation(at_tokens.float().cpu(), *greedy, layers, _embedding(below(model), device))


def below(model: Model) -> PreTrainedModel:
    """The base model, whose layers keep under an adapter the names that they have without one."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def same_greedy(before: Observation, after: Observation, tolerance: float) -> bool:
    """Whether the greedy tokens are equal, up to a tie: two logits no further apart than `tolerance` of the largest.

    Rounding decides a tie, and after it the texts differ; so each row counts up to its first tie.
    """
    for was, now, logits in zip(before.greedy, after.greedy, before.greedy_logits, strict=True):
        pairs = zip(was.tolist(), now.tolist(), strict=False)  # a text that ended earlier did so by another token
        step, (a, b) = next(((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1]), (0, (0, 0)))
        if logits[step, a] - logits[step, b] > tolerance * logits.abs().max():
            return False
    return True


def same_embedding(before: Observation, after: Observation, tolerance: float) -> bool:
    """Whether every token means the same, also those that no row of the probe holds."""
    return _close(before.embedding, after.embedding, tolerance)


def first_difference(before: Observation, after: Observation, tolerance: float) -> str:
    """The first layer, in the order of execution, that moved by more than `tolerance` times its largest value."""
    for name, was in before.layers.items():
        if name in after.layers and not _close(was, after.layers[name], tolerance):
            return name
    return "the output" if same_embedding(before, after, tolerance) else "the embedding of tokens beyond these rows"


def _close(was: Tensor, now: Tensor, tolerance: float) -> bool:
    if was.shape != now.shape:
        return False
    return was.numel() == 0 or bool((was - now).abs().max() <= tolerance * was.abs().max())


def _recorder(layers: dict[str, Tensor], name: str) -> Callable[[nn.Module, object, object], None]:
    def record(_module: nn.Module, _inputs: object, output: object) -> None:
        value = output[0] if isinstance(output, tuple) and output else output
        if isinstance(value, Tensor) and value.is_floating_point() and value.dim() > 1:
            layers[name] = _seen(value)

    return record


def _embedding(base: PreTrainedModel, device: torch.device) -> Tensor:
    layer = base.get_input_embeddings()
    ids = torch.arange(layer.weight.shape[0], device=device)
    return torch.cat([_seen(layer(ids[first : first + ROWS])) for first in range(0, len(ids), ROWS)])


def _seen(value: Tensor) -> Tensor:
    """[..., D] along a few directions: [positions, VIEWS] in fp32."""
    return (value.flatten(0, -2).float() @ _directions(value.shape[-1]).to(value.device)).cpu()


@cache
def _directions(width: int) -> Tensor:
    return torch.randn(width, VIEWS, generator=torch.Generator().manual_seed(width))


def _greedy(model: Model, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Greedy continuations of the first half of each row, all cut to one length so that nothing is padded."""
    if not below(model).can_generate():
        return torch.empty(0, 0), torch.empty(0, 0, 0)
    rows = [ids[mask.bool()] for ids, mask in zip(input_ids, attention_mask, strict=True)]
    length = max(1, min(len(row) for row in rows) // 2)
    prompts = torch.stack([row[:length] for row in rows])
    config = GenerationConfig(max_new_tokens=NEW_TOKENS, do_sample=False, **RECORD)
    out = model.generate(input_ids=prompts, attention_mask=torch.ones_like(prompts), generation_config=config)
    return out.sequences[:, length:].cpu(), torch.stack(out.logits, 1).float().cpu()
