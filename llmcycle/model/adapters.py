"""Parameter-efficient adapters: put one on a model, and know whether it can be merged into it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from peft import CPTConfig, PeftConfig, PeftModel, TaskType, get_peft_model
from peft.tuners.tuners_utils import BaseTuner
from peft.utils.other import ModulesToSaveWrapper
from torch import Tensor, nn
from transformers import PreTrainedModel

from .calibrate import calibrated, needs_data
from .embedding_rows import choose_rows
from .layers import unmatched
from .methods import complete_inputs, freeze_method, refuse_unfit
from .quantised import is_quantised, mergeable_base

Batches = Callable[[], Iterable[Mapping[str, Tensor]]]
PROBE = 4  # tokens of the trial that a fresh adapter is given
SAMPLE = 64  # values of each weight by which a change of it is seen


def adapt(
    model: PreTrainedModel,
    peft: PeftConfig | None,
    batches: Batches | None = None,
    new_tokens: Sequence[int] = (),
) -> PreTrainedModel | PeftModel:
    """The model with a fresh, trainable adapter; the model itself, all of it trainable, when `peft` is None.

    Args:
        batches: gives training batches to a method that starts from what the data does to the model (`needs_data`).
        new_tokens: whose rows in the embeddings are trained too, by methods that can: see `choose_rows`.

    Raises:
        ValueError: the model already carries an adapter (one that could not be merged by the stage before), the method
            does not work on this architecture, or all of a quantised model is to be trained.
    """
    if isinstance(model, PeftModel):
        kind = model.active_peft_config.peft_type.value
        raise ValueError(
            f"inputs.model: it carries a {kind} adapter that cannot be merged, so it cannot be trained further; "
            "give the model below it, or repeat the stage before with a method that merges, such as peft=lora"
        )
    if peft is None:
        if is_quantised(model):
            raise ValueError("peft=none: rounded weights cannot be trained; choose an adapter, such as peft=lora")
        return model.requires_grad_(True)
    refuse_unmatched(model, peft)
    choose_rows(model, peft, new_tokens)
    layers = sorted({name.rpartition(".")[2] for name, m in model.named_modules() if hasattr(m, "weight")})
    try:
        set_task(model, peft)
        return _fitted(model, peft, batches)
    except (ValueError, TypeError, RuntimeError, AttributeError, KeyError, AssertionError, IndexError) as error:
        raise _refusal(model, peft, layers, error) from error


def refuse_unmatched(model: nn.Module, peft: PeftConfig) -> None:
    """ValueError for a layer that is named and that the model does not have."""
    for setting, reason, value in unmatched(model, peft):
        raise ValueError(f"peft.{setting}: {reason}\n  try: peft.{setting}={value}")


def base_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that the model has without its adapter; peft puts the adapter's name into those that it adds."""
    if not isinstance(model, PeftModel):
        return list(model.parameters())
    names = set(model.peft_config)
    return [p for name, p in model.named_parameters() if names.isdisjoint(name.split("."))]


def may_be_padded(model: nn.Module) -> bool:
    """Whether padding on the left leaves a text's continuation as it is.

    Not where peft puts virtual tokens before the padding: it drops the position ids, so text and prompt move apart.
    """
    if not isinstance(model, PeftModel) or not model.active_peft_config.is_prompt_learning:
        return True
    with torch.no_grad():  # embeddings go before the row; keys and values do not move it
        return not isinstance(model.get_prompt(batch_size=1), Tensor)


def mergeable(model: nn.Module) -> bool:
    """Whether the adapter can become part of the weights: not for prompts, nor onto weights that stay rounded."""
    if not isinstance(model, PeftModel) or not isinstance(model.base_model, BaseTuner):
        return False
    return mergeable_base(model.get_base_model()) and hasattr(model.base_model, "merge_and_unload")


def moves_base(model: nn.Module) -> bool:
    """Whether the method took its start out of the weights below it, which are another model since."""
    return isinstance(model, PeftModel) and bool(getattr(model, "moved_base", False))


def regularisation(model: nn.Module) -> Tensor | float:
    """What the method adds to the loss beside what peft adds itself: KaSA's penalties (arXiv:2412.06071, eq. 9-12)."""
    config = model.active_peft_config if isinstance(model, PeftModel) else None
    tuner: Any = getattr(model, "base_model", None)
    return tuner._get_kasa_loss() if getattr(config, "kasa_config", None) is not None else 0.0


def allocate(model: nn.Module, step: int) -> None:
    """After a step, while its gradients are still there: AdaLoRA moves ranks to where they say (arXiv:2303.10512)."""
    if (tuner := _allocating(model)) is not None:
        tuner.update_and_allocate(step)


def allocation(model: nn.Module) -> dict[str, Any]:
    """What AdaLoRA has gathered over the steps, for a checkpoint; empty for all other methods."""
    if (tuner := _allocating(model)) is None:
        return {}
    allocator = tuner.rankallocator
    gathered = {name: dict(getattr(allocator, name)) for name in ("ipt", "exp_avg_ipt", "exp_avg_unc")}
    return {**gathered, "rank_pattern": tuner.peft_config[tuner.trainable_adapter_name].rank_pattern or {}}


def restore_allocation(model: nn.Module, saved: Mapping[str, Any]) -> None:
    """Takes what `allocation` gave."""
    if (tuner := _allocating(model)) is not None and saved:
        for name in ("ipt", "exp_avg_ipt", "exp_avg_unc"):
            setattr(tuner.rankallocator, name, dict(saved[name]))
        tuner.peft_config[tuner.trainable_adapter_name].rank_pattern = saved["rank_pattern"]


def _allocating(model: nn.Module) -> Any:
    """The tuner of a method that moves ranks between layers; None for all others."""
    tuner = model.base_model if isinstance(model, PeftModel) else None
    return tuner if hasattr(tuner, "update_and_allocate") else None


def set_task(model: PreTrainedModel, peft: PeftConfig) -> None:
    """What the model is for, in peft's terms; it has none for an encoder that restores hidden tokens.

    Raises:
        ValueError: it is none that the method works for.
    """
    if peft.task_type in (None, TaskType.CAUSAL_LM):
        # A reward model's head is new, so it is trained and saved as well.
        other = TaskType.SEQ_CLS if model.get_output_embeddings() is None else None
        peft.task_type = TaskType.CAUSAL_LM if model.can_generate() else other
    if isinstance(peft, CPTConfig) and peft.task_type != TaskType.CAUSAL_LM:
        raise ValueError("it puts a text before rows of a language model, and works for no other model")
    if peft.is_prompt_learning and peft.task_type is None:
        raise ValueError("it puts virtual tokens before a text, which peft can't do for a model of hidden tokens")


def _fitted(model: PreTrainedModel, peft: PeftConfig, batches: Batches | None) -> PeftModel:
    before = {p: _sample(p) for p in model.parameters() if p.is_floating_point() and type(p.data) is Tensor}
    adapted = calibrated(model, peft, batches) if needs_data(peft) else get_peft_model(model, peft)
    adapted.moved_base = any(not torch.equal(_sample(p), values) for p, values in before.items())
    completed(adapted)
    if adapted.dtype == torch.float32 or next(model.parameters()).device.type != "cpu":
        run_once(adapted)  # not where it would be slow: a CPU may have no units for 16 bits
    return adapted


def completed(adapted: PeftModel) -> None:
    """What a fresh adapter still needs; ValueError where it does not suit its base, or trains nothing."""
    refuse_unfit(adapted)
    complete_inputs(adapted)
    freeze_method(adapted)
    if not any(p.requires_grad for p in adapted.parameters()):
        raise ValueError("it would train nothing")
    kept = any(isinstance(module, ModulesToSaveWrapper) for module in adapted.modules())
    if adapted.active_peft_config.task_type == TaskType.SEQ_CLS and not kept and not mergeable(adapted):
        raise ValueError("it stays beside its base, and its file has no place for the new head of a classifier")


def _sample(parameter: nn.Parameter) -> Tensor:
    return parameter.detach().flatten()[:SAMPLE].clone()


def run_once(model: PeftModel) -> None:
    """One short row, forwards and backwards: some methods say only then that they do not fit an architecture."""
    device = next(model.parameters()).device
    ids = torch.arange(PROBE, device=device)[None]
    given = {} if device.type == "meta" else {"attention_mask": torch.ones_like(ids)}  # it is looked at
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.enable_grad():
        out = model.eval()(input_ids=ids, **given)
        out.logits.float().pow(2).mean().backward()
    model.zero_grad(set_to_none=True)


def _refusal(model: PreTrainedModel, peft: PeftConfig, layers: Sequence[str], error: Exception) -> ValueError:
    """Why this method and this model do not go together, and which layers there are to name."""
    kind, family = peft.peft_type.value, model.config.model_type
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ValueError(
        f"peft: {kind} does not work on this {family} model: {reason.rstrip('.')}; "
        f"name other layers by peft.target_modules (it has {', '.join(layers)}), or choose peft=lora"
    )
