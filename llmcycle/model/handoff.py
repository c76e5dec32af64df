"""The hand-off of a trained model: merge, save, reload, and prove that what was reloaded is what was trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import torch
from huggingface_hub.errors import HFValidationError
from peft import PeftModel
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .adapters import mergeable
from .digest import digest
from .load import BASE_FILE, QUANTISATION, as_loaded, load
from .observe import Observation, first_difference, observe, same_embedding, same_greedy
from .quantised import compute_in_fp32, rounding, write_out
from .stated import Stated, state, verify_kinds, verify_numbers, verify_settings
from .tokens import end_token_ids, verify_generation, verify_tokenizer

TOLERANCE = 2e-5  # of the largest logit, in fp32: a correct LoRA merge of SmolLM2-135M moves logits by 3e-6 of it


class HandOff(TypedDict):
    """What was measured at a hand-off: the largest logit difference and logit; greedy tokens are equal up to ties."""

    max_difference: float
    max_logit: float
    greedy_tokens_equal: bool
    merged: bool


def hand_off(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, out: Path, probe: Mapping[str, Tensor]
) -> tuple[PreTrainedModel | PeftModel, HandOff]:
    """Merge the adapter if there is one that can be, save, reload and verify. The given model is used up by a merge.

    Args:
        out: the folder that becomes an ordinary Hugging Face folder.
        probe: a few tokenised rows: input_ids and attention_mask [B, T].

    Returns:
        The reloaded model, on the device of the given one, and what was measured.

    Raises:
        ValueError: the reloaded model or tokenizer is not the one that was given; names the first layer that differs.
    """
    if mergeable(model) and model.dtype != torch.float32:
        _widen(model)  # a merge in 16 bits would round the adapter away; so the merged model is kept in fp32
    _stop_at_end(model, tokenizer)
    trained = observe(model, probe)
    if not trained.logits.isfinite().all():
        raise ValueError("the trained model's logits are not finite: lower optim.lr or raise the warm-up")
    model = write_out(model) if mergeable(model) else model
    before = state(model)
    plain = merge(model)
    stated = before if plain is model else state(plain)
    save(plain, tokenizer, out)
    reloaded, facts = verify(trained, stated, tokenizer, out, probe)
    verify_numbers(before, stated, "after the merge, though no adapter stands on it")
    return reloaded, HandOff(**facts, merged=plain is not model)  # type: ignore[typeddict-item]


def merge(model: PreTrainedModel | PeftModel) -> PreTrainedModel | PeftModel:
    """The plain model that an adapter was merged into; the given one where there is none, or it cannot be merged."""
    if not mergeable(model):
        return model
    try:
        return model.merge_and_unload(safe_merge=True)
    except NotImplementedError:  # some methods say only now that they cannot merge, before they have touched a layer
        return model


def save(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
    """Write model, tokenizer and generation settings as safetensors and JSON.

    A model that still has its adapter is written as one, with its base's path, dtype and digest in `base.json`.
    """
    out.mkdir(parents=True, exist_ok=True)
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    _stop_at_end(base, tokenizer)
    if base.can_generate():
        base.generation_config.save_pretrained(out)
    if isinstance(model, PeftModel):
        _record_base(model, base, out)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def verify(
    trained: Observation,
    stated: Stated,
    tokenizer: PreTrainedTokenizerBase,
    out: Path,
    probe: Mapping[str, Tensor],
    tolerance: float = TOLERANCE,
) -> tuple[PreTrainedModel | PeftModel, dict[str, float | bool]]:
    """Reload `out` as the next stage will, and compare it with what was observed of a model and what it stated.

    Args:
        trained: of the model before it was merged, quantised or converted (`observe`).
        stated: of the model that was saved (`state`).
        tolerance: of logits, as a share of the largest; 0 for bit by bit.

    Raises:
        ValueError: another tokenizer or template, generation that would not stop at the end token, other settings,
            dtypes or shapes, logits further apart than the tolerance, other greedy tokens, or any other number.
    """
    verify_tokenizer(tokenizer, out, probe["input_ids"])
    reloaded = _reload(out).to(probe["input_ids"].device)
    verify_generation(reloaded, tokenizer)
    found = state(reloaded)
    verify_settings(stated, found)
    verify_kinds(stated, found)
    measured = verify_outputs(trained, observe(reloaded, probe), tolerance)
    verify_numbers(stated, found, "when reloaded, which the rows that were compared did not reach")
    return reloaded, measured


def _reload(out: Path) -> PreTrainedModel | PeftModel:
    try:
        return load(out, "auto")
    except (
        OSError,
        RuntimeError,
        SafetensorError,
        HFValidationError,
    ) as error:  # as the libraries say it of what is cut or not there
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"hand-off: what was saved in {out} cannot be read again: {reason}") from error


def verify_outputs(trained: Observation, found: Observation, tolerance: float) -> dict[str, float | bool]:
    """What was measured of the difference; ValueError, with the first layer that differs, where it is too large."""
    if found.logits.shape != trained.logits.shape:
        raise ValueError(
            f"hand-off: logits were {tuple(trained.logits.shape)} and are {tuple(found.logits.shape)} when reloaded"
        )
    difference = (found.logits - trained.logits).abs().max().item()
    largest = trained.logits.abs().max().item()
    same_tokens = same_greedy(trained, found, tolerance)
    if not (difference <= tolerance * largest and same_tokens and same_embedding(trained, found, tolerance)):
        layer = first_difference(trained, found, tolerance)
        raise ValueError(
            f"hand-off: the reloaded model is not the trained one: logits differ by {difference:.3g} (allowed "
            f"{tolerance * largest:.3g}), greedy tokens {'equal' if same_tokens else 'differ'}; the first layer that "
            f"differs is {layer}: keep it in fp32, or leave it out of peft.target_modules"
        )
    return {"max_difference": difference, "max_logit": largest, "greedy_tokens_equal": same_tokens}


def _widen(model: PreTrainedModel | PeftModel) -> None:
    """To fp32, with the one buffer that is rounded with the weights, saved nowhere and so new when reloaded."""
    compute_in_fp32(model)
    for module in model.modules():
        if hasattr(module, "scalar_embed_scale"):  # Gemma's
            module.embed_scale.fill_(module.scalar_embed_scale)


def _stop_at_end(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let `generate` stop at the end of an answer, besides where the base model stopped."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    if not base.can_generate():
        return
    known = base.generation_config.eos_token_id
    ids = {*(known if isinstance(known, list) else [known]), *end_token_ids(tokenizer)} - {None}
    if ids:
        base.generation_config.eos_token_id = sorted(ids) if len(ids) > 1 else ids.pop()
    if tokenizer.pad_token_id is not None:
        base.generation_config.pad_token_id = tokenizer.pad_token_id


def _record_base(model: PeftModel, base: PreTrainedModel, out: Path) -> None:
    path = Path(base.name_or_path)
    if not base.name_or_path:
        raise ValueError("peft: this adapter cannot be merged, and its base model is in no folder; save the base first")
    name = str(path.resolve()) if path.exists() else base.name_or_path
    model.active_peft_config.base_model_name_or_path = name
    below = load(name, base.dtype, **as_loaded(rounding(base)))
    recorded = {"path": name, "dtype": str(base.dtype).removeprefix("torch."), "digest": digest(below)}
    if rounded := rounding(base):
        recorded[QUANTISATION] = rounded
    (out / BASE_FILE).write_text(json.dumps(recorded, indent=2) + "\n")
    base.config.save_pretrained(out)
