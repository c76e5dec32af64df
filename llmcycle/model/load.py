"""Models from a configuration, a folder or the Hub; a folder may hold weights, quantised weights or an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
import transformers
from peft import PeftModel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from llmcycle.quantities import Count, DtypeOrAuto

from .base import FILE, Base
from .digest import digest
from .methods import complete_inputs
from .quantised import keep_as_rounded

TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "cls_token_id", "sep_token_id")
STATED_WITHIN = 0.02  # of the stated number of parameters


class Factory(Protocol):
    """One of transformers' Auto classes."""

    def from_config(self, config: PreTrainedConfig) -> PreTrainedModel: ...


def scratch(config: PreTrainedConfig, parameters: Count | None = None, masked: bool = False) -> PreTrainedModel:
    """A language model with random fp32 weights drawn from torch's global generator.

    The token ids that a configuration's class has by default are another vocabulary's: they are cleared, because a
    default `pad_token_id` would keep the embedding of whatever token has that id from learning.

    Args:
        parameters: how many it is said to have; a configuration further than 2 % from it is refused.
        masked: it reads both ways and predicts masked tokens, instead of reading left to right.

    Raises:
        ValueError: it has another number of parameters; nothing has been allocated by then.
    """
    for name in TOKEN_IDS:
        if hasattr(config, name):
            setattr(config, name, None)
    factory = AutoModelForMaskedLM if masked else AutoModelForCausalLM
    if parameters is not None:
        _refuse_another_size(factory, config, parameters)
    return factory.from_config(config, dtype=torch.float32)


def _refuse_another_size(factory: Factory, config: PreTrainedConfig, stated: int) -> None:
    with torch.device("meta"):
        counted = sum(p.numel() for p in factory.from_config(config).parameters())
    if abs(counted - stated) > STATED_WITHIN * stated:
        raise ValueError(
            f"model.parameters={stated}: this configuration has {counted} parameters; "
            f"write model.parameters={counted}, or null for a size that is not checked"
        )


def load(
    pretrained_model_name_or_path: str | Path,
    dtype: DtypeOrAuto | torch.dtype | None = None,
    **options: object,
) -> PreTrainedModel | PeftModel:
    """The model that a stage wrote, or any Hugging Face model, on the CPU in evaluation mode.

    The class is the one that the configuration names, so reward models load too. An adapter is loaded onto its base.

    Args:
        pretrained_model_name_or_path: a folder, or a name on the Hub.
        dtype: of the weights; "auto" as they were saved. None: as saved if they are quantised or a GPU is here,
            else fp32, because a CPU without bf16 units is some hundred times slower in bf16.
        options: as `AutoModelForCausalLM.from_pretrained` takes them, e.g. `revision` or `attn_implementation`.

    Raises:
        ValueError: nothing there, no model in it, weights missing from it, or the adapter's base has changed.
    """
    path = Path(pretrained_model_name_or_path)
    if (path / "adapter_config.json").exists():
        return _load_adapter(path, dtype, options)
    if (path / FILE).exists() and not (path / "config.json").exists():
        return _load_pointed(path, dtype, options)
    config = _config(path if path.is_dir() else str(pretrained_model_name_or_path), options)
    if dtype is None:
        as_saved = torch.cuda.is_available() or getattr(config, "quantization_config", None) is not None
        dtype = "auto" if as_saved else torch.float32
    name = str(pretrained_model_name_or_path)
    model, info = _class_of(config).from_pretrained(name, dtype=dtype, output_loading_info=True, **options)
    if absent := sorted([*info["missing_keys"], *info["mismatched_keys"]], key=str):
        raise ValueError(f"inputs.model: {path} lacks weights of its own model: {absent[0]} and {len(absent) - 1} more")
    keep_as_rounded(model)
    return model.eval()


def _config(path: str | Path, options: dict[str, Any]) -> PreTrainedConfig:
    if isinstance(path, Path) and not (path / "config.json").exists():
        raise ValueError(f"inputs.model: {path} holds no model (no config.json, no adapter_config.json in it)")
    where = {key: options[key] for key in ("revision", "subfolder", "cache_dir", "local_files_only") if key in options}
    try:
        return AutoConfig.from_pretrained(path, **where)
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"inputs.model: {path} is no folder with a model and no name on the Hub: {reason}") from error


def _load_adapter(folder: Path, dtype: DtypeOrAuto | torch.dtype | None, options: dict[str, Any]) -> PeftModel:
    """The base in the dtype that the adapter was trained on, checked against its digest, and the adapter on it."""
    beside = Base.read(folder)
    path, options = beside.find(folder), {**options, **Base.options(beside.quantization_config)}
    base = load(path, beside.dtype, **options)
    if digest(base) != beside.digest:
        raise ValueError(
            f"inputs.model: the adapter in {folder} was trained on other weights than {path} now holds; give it its "
            "own base again, or train it again on this one"
        )
    model = PeftModel.from_pretrained(_as_trained(base, path, folder, beside.dtype, options), str(folder))
    complete_inputs(model)
    if model.get_base_model().can_generate():
        model.get_base_model().generation_config = GenerationConfig.from_pretrained(folder)
    return (model if dtype in (None, "auto") else model.to(_as_dtype(dtype))).eval()


def _as_trained(base: PreTrainedModel, path: str, folder: Path, dtype: str, options: dict[str, Any]) -> PreTrainedModel:
    """The base in the class that the adapter was trained in: a reward model has a head that the base lacks.

    The head is in the adapter's folder, as peft saves it, and so are the settings.
    """
    if not (folder / "config.json").exists():
        return base
    config = AutoConfig.from_pretrained(folder)
    cls = _class_of(config)
    if cls in (AutoModelForCausalLM, type(base)):
        return base
    model: PreTrainedModel = cls.from_pretrained(path, config=config, dtype=_as_dtype(dtype), **options)
    keep_as_rounded(model)
    return model.eval()


def _class_of(config: PreTrainedConfig) -> Any:
    """The class that wrote a configuration."""
    return getattr(transformers, (config.architectures or ["-"])[0], AutoModelForCausalLM)


def _load_pointed(
    folder: Path, dtype: DtypeOrAuto | torch.dtype | None, options: dict[str, Any]
) -> PreTrainedModel | PeftModel:
    """The model that a stage used and left as it was; its digest holds in the dtype that it was used in."""
    pointer = Base.read(folder)
    path = pointer.find(folder)
    model = load(path, dtype, **options)
    if str(model.dtype).removeprefix("torch.") == pointer.dtype and digest(model) != pointer.digest:
        raise ValueError(f"inputs.model: {folder} points to {path}, which now holds other weights")
    return model


def _as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    return dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype)
