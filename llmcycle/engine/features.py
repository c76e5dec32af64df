"""What a reward model's last layer reads: the features of a row, of which its reward is a linear function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from llmcycle.engine.batching import in_batches, padded
from llmcycle.engine.generation import evaluation_mode

TOLERANCE = 1e-3  # of the greatest reward, by which the last layer's answer may differ from the model's


def reward_features(model: PreTrainedModel, rows: Sequence[list[int]], batch_size: int = 64) -> tuple[Tensor, Tensor]:
    """Features (N, D) and rewards (N,) of rows of token ids, in fp32.

    Raises:
        ValueError: the model's reward is no linear function of what its last layer reads.
    """
    filler = model.config.pad_token_id

    def compute(batch: list[list[int]]) -> list[tuple[Tensor, Tensor]]:
        inputs = padded(batch, filler or 0, model.device)
        with last_input(model) as seen:
            logits = model(**inputs).logits[:, 0].float()
        layer, read = seen[-1]
        pooled = read if read.ndim == 2 else read[torch.arange(len(read)), last_token(inputs["input_ids"], filler)]
        refuse_other(layer(pooled)[:, 0].float(), logits)
        return list(zip(pooled.float().cpu(), logits.cpu(), strict=True))

    with evaluation_mode(model), torch.no_grad():
        pairs = in_batches(rows, compute, len, batch_size if filler is not None else 1)
    return torch.stack([features for features, _ in pairs]), torch.stack([reward for _, reward in pairs])


def last_token(ids_BT: Tensor, filler: int | None) -> Tensor:
    """The place of each row's last token that is no filler, which classifiers of transformers look at: (B,)."""
    places_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
    return places_T.max().expand(len(ids_BT)) if filler is None else ((ids_BT != filler) * places_T).argmax(1)


@contextmanager
def last_input(model: PreTrainedModel) -> Iterator[list[tuple[nn.Linear, Tensor]]]:
    """The layers with one output that are called inside, each with what it reads."""
    seen: list[tuple[nn.Linear, Tensor]] = []
    layers = [module for module in model.modules() if isinstance(module, nn.Linear) and module.out_features == 1]
    if not layers:
        raise ValueError("--reward: the model has no last layer with one output, so its uncertainty is not known")
    hooks = [layer.register_forward_pre_hook(lambda layer, given: seen.append((layer, given[0]))) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def refuse_other(linear: Tensor, rewards: Tensor) -> None:
    """ValueError where a model does something else after its last layer, or pools another token."""
    if (linear - rewards).abs().max() > TOLERANCE * max(1.0, float(rewards.abs().max())):
        raise ValueError(
            "--reward: the model's reward is no linear function of what its last layer reads, so its uncertainty is "
            "not known\n  try: --choose random"
        )
