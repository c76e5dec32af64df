"""Adapters that start from what training batches do to the model: EVA, CorDA and LoRA-GA, by peft's own functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from peft import LoraConfig, PeftModel, get_peft_model, initialize_lora_eva_weights
from peft.tuners.lora.corda import preprocess_corda
from peft.tuners.lora.loraga import preprocess_loraga
from peft.tuners.tuners_utils import _maybe_include_all_linear_layers
from torch import Tensor
from transformers import PreTrainedModel

DATA_DRIVEN = ("eva", "corda", "lora_ga")
TAKEN = ("input_ids", "attention_mask", "labels")  # of a batch
Batch = Mapping[str, Tensor]


def calibrated(model: PreTrainedModel, peft: LoraConfig, batches: Callable[[], Iterable[Batch]] | None) -> PeftModel:
    """The model with an adapter that starts from the batches; the same batches give the same adapter.

    Raises:
        ValueError: this stage has no labelled batches to give.
    """
    taken = [{name: batch[name].to(model.device) for name in TAKEN if name in batch} for batch in (batches or list)()]
    if not taken or "labels" not in taken[0]:
        raise ValueError("it starts from batches of tokens with labels, and this stage has none to give")
    if peft.init_lora_weights == "eva":
        adapted = get_peft_model(model, peft)
        # The first of EVA's own steps needs rows enough for its ranks; it goes through the batches until they settle.
        initialize_lora_eva_weights(adapted, taken, show_progress_bar=False, gather_distributed_inputs=False)
        return adapted
    _maybe_include_all_linear_layers(peft, model)  # peft does so only after these two have looked at the layers
    if peft.init_lora_weights == "corda":
        preprocess_corda(model, peft, run_model=lambda: _run_rows(model, taken))
    else:
        preprocess_loraga(model, peft, train_step=lambda: _run_backward(model, taken))
    return get_peft_model(model, peft)


@torch.no_grad()
def _run_rows(model: PreTrainedModel, batches: list[dict[str, Tensor]]) -> None:
    """Row by row and without padding, as CorDA's covariance (arXiv:2406.05223, section 3.2) takes tokens."""
    for batch in batches:
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"].bool(), strict=True):
            model(input_ids=ids[mask][None])


def _run_backward(model: PreTrainedModel, batches: list[dict[str, Tensor]]) -> None:
    """Sums the gradient over the batches, as LoRA-GA (arXiv:2407.05000, section 3.4) takes it."""
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        for batch in batches:
            model(**batch, use_cache=False).loss.backward()
