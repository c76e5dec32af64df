"""Adapters that start from what training batches do to the model: EVA, CorDA and LoRA-GA, by peft's own functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model, initialize_lora_eva_weights
from peft.tuners.lora.corda import preprocess_corda
from peft.tuners.lora.loraga import preprocess_loraga
from peft.tuners.tuners_utils import _maybe_include_all_linear_layers
from torch import Tensor
from transformers import PreTrainedModel

TAKEN = ("input_ids", "attention_mask", "labels")  # of a batch
Batch = Mapping[str, Tensor]
Taken = list[dict[str, Tensor]]


def needs_data(peft: PeftConfig | None) -> bool:
    """Whether the adapter starts from what training batches do to the model."""
    return getattr(peft, "init_lora_weights", None) in STARTS


def calibrated(model: PreTrainedModel, peft: LoraConfig, batches: Callable[[], Iterable[Batch]] | None) -> PeftModel:
    """The model with an adapter that starts from the batches; the same batches give the same adapter.

    Raises:
        ValueError: this stage has no labelled batches to give.
    """
    taken = [{name: batch[name].to(model.device) for name in TAKEN if name in batch} for batch in (batches or list)()]
    if not taken or "labels" not in taken[0]:
        raise ValueError("it starts from batches of tokens with labels, and this stage has none to give")
    return STARTS[str(peft.init_lora_weights)](model, peft, taken)


def _eva(model: PreTrainedModel, peft: LoraConfig, batches: Taken) -> PeftModel:
    adapted = get_peft_model(model, peft)
    # The first of EVA's own steps needs rows enough for its ranks; it goes through the batches until they settle.
    initialize_lora_eva_weights(adapted, batches, show_progress_bar=False, gather_distributed_inputs=False)
    return adapted


def _corda(model: PreTrainedModel, peft: LoraConfig, batches: Taken) -> PeftModel:
    _maybe_include_all_linear_layers(peft, model)  # peft does so only after CorDA has looked at the layers
    preprocess_corda(model, peft, run_model=lambda: _run_rows(model, batches))
    return get_peft_model(model, peft)


def _lora_ga(model: PreTrainedModel, peft: LoraConfig, batches: Taken) -> PeftModel:
    _maybe_include_all_linear_layers(peft, model)  # as with CorDA
    preprocess_loraga(model, peft, train_step=lambda: _run_backward(model, batches))
    return get_peft_model(model, peft)


# By what `init_lora_weights` says.
STARTS: dict[str, Callable[[PreTrainedModel, LoraConfig, Taken], PeftModel]] = {
    "eva": _eva,
    "corda": _corda,
    "lora_ga": _lora_ga,
}


@torch.no_grad()
def _run_rows(model: PreTrainedModel, batches: Taken) -> None:
    """Row by row and without padding, as CorDA's covariance (arXiv:2406.05223, section 3.2) takes tokens."""
    for batch in batches:
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"].bool(), strict=True):
            model(input_ids=ids[mask][None])


def _run_backward(model: PreTrainedModel, batches: Taken) -> None:
    """Sums the gradient over the batches, as LoRA-GA (arXiv:2407.05000, section 3.4) takes it."""
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        for batch in batches:
            model(**batch, use_cache=False).loss.backward()
