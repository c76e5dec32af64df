"""An adapter tried on a model without weights: whether a method works on an architecture, before anything is loaded."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import torch
from peft import PeftConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils.quantization_config import QuantizationConfigMixin

from .adapters import adapt, completed, run_once, set_task
from .calibrate import needs_data
from .layers import outline

FEW = 2  # layers of a shortened model
SMALL = 4_000_000  # numbers of a model that is built with weights for a trial: some tens of milliseconds
LENGTH = 12  # tokens of a row
NARROW = {
    **{"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32},
    **{"vocab_size": 512, "max_position_embeddings": 128},
}
ANOTHER = "peft trains other numbers on them than on plain ones, which the adapter is to be merged into"
# What an operation raises that has nothing to look at; peft's own refusals are other ones.
WEIGHTLESS = (NotImplementedError, RuntimeError)
NUMBERED = ("layers_to_transform", "adapter_layers")  # settings that count on how many layers there are


def misfit(config: PreTrainedConfig, kind: str | None, peft: PeftConfig) -> str:
    """Why a method does not work on an architecture; "" where it does, or where only its weights would tell.

    It is put on a model without weights, of few layers and then of all, which costs little and refuses nothing that
    works but what looks at weights. So what is refused is tried once more with weights, where they are few.

    Args:
        config: of the model, which is left as it is.
        kind: see `llmcycle.abilities`.
    """
    error: Exception | None = None
    tried = [config] if counts_layers(peft) else list(shapes(config))
    for shape in tried:
        error = failure(shape, kind, peft, "meta")
        if error is None:
            return ""
        if is_weightless(error):
            break
    small = next((shape for shape in tried if size(shape, kind) <= SMALL), None)
    if small is None:
        return "" if error is None or is_weightless(error) else in_short(error)
    error = failure(small, kind, peft, "cpu")
    return in_short(error) if error else ""


def is_weightless(error: Exception) -> bool:
    """Whether it may be raised only because there is nothing to look at."""
    return isinstance(error, WEIGHTLESS) or "meta" in str(error)


def shapes(config: PreTrainedConfig) -> Iterator[PreTrainedConfig]:
    """The configuration with few layers, where it can be shortened, and as it is."""
    count = getattr(config.get_text_config(), "num_hidden_layers", 0)
    if isinstance(count, int) and count > FEW and config.get_text_config() is config:
        short = copy.deepcopy(config)
        if getattr(short, "layer_types", None):
            short.layer_types = short.layer_types[:FEW]
        short.num_hidden_layers = FEW
        yield short
    yield config


def failure(config: PreTrainedConfig, kind: str | None, peft: PeftConfig, device: str) -> Exception | None:
    """What an adapter raises that is put on a model of random weights, or of none, and asked once."""
    chosen = copy.deepcopy(peft)
    if needs_data(chosen):
        chosen.init_lora_weights = True  # a start that the data give fits where LoRA does
    with torch.device(device), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model: PreTrainedModel = outline(config, kind, device)
            set_task(model, chosen)
            adapted = get_peft_model(model, chosen)
            completed(adapted)
            run_once(adapted)
        except Exception as error:
            return error
    return None


def size(config: PreTrainedConfig, kind: str | None) -> int:
    """Numbers in a model's weights."""
    return sum(parameter.numel() for parameter in outline(config, kind).parameters())


def counts_layers(peft: PeftConfig) -> bool:
    """Whether a method names layers by their number, so that a shortened model may lack them."""
    layers = str(getattr(peft, "target_modules", None) or "")
    return bool(re.search(r"\d", layers)) or any(getattr(peft, name, None) is not None for name in NUMBERED)


def in_short(error: BaseException) -> str:
    """The first line of what was raised, without a full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def misfit_rounded(
    config: PreTrainedConfig, kind: str | None, peft: PeftConfig, rounding: QuantizationConfigMixin
) -> str:
    """Why a method does not work on rounded weights; "" where it does, or fails on plain ones of such a size too.

    Args:
        config: of the model, which is made as small as the rounding allows.
        rounding: how its weights are rounded while they are loaded.
    """
    small = narrow(config)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        try:
            plain = outline(small, kind, "cpu")
            plain.save_pretrained(folder)
            rounded = type(plain).from_pretrained(folder, quantization_config=rounding, dtype=torch.float32)
        except Exception:  # an architecture with other names for its sizes, or a rounding that needs a GPU
            return ""
        on_rounded, on_plain = put_on(rounded, peft), put_on(plain, peft)
    if isinstance(on_plain, BaseException):
        return ""
    if isinstance(on_rounded, BaseException):
        return in_short(on_rounded)
    same = needs_data(peft) or trained_shapes(on_rounded) == trained_shapes(on_plain)  # data set ranks as they are
    return "" if same else ANOTHER


def merges(model: PeftModel) -> bool:
    """Whether an adapter's method can merge: some say only when they are asked that they can't, so a small one is."""
    chosen, base = copy.deepcopy(model.active_peft_config), model.get_base_model()
    chosen.inference_mode, chosen.trainable_token_indices = False, None
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            get_peft_model(type(base)(narrow(base.config)), chosen).merge_and_unload(safe_merge=True)
        except (NotImplementedError, AttributeError):
            return False
        except Exception:  # what is wrong with the small one need not be wrong with the model
            return True
    return True


def narrow(config: PreTrainedConfig) -> PreTrainedConfig:
    """The same architecture with few layers, and narrow ones."""
    small = copy.deepcopy(next(shapes(config)))
    for name, value in NARROW.items():
        if getattr(small, name, None) is not None:
            setattr(small, name, value)
    return small


def put_on(model: PreTrainedModel, peft: PeftConfig) -> nn.Module | BaseException:
    """The model with an adapter, which gets a few batches to start from; or what keeps the method from being put on."""
    ids = torch.arange(2 * LENGTH).reshape(2, LENGTH) % model.config.vocab_size
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    try:
        adapted: nn.Module = adapt(model, copy.deepcopy(peft), lambda: [batch])
    except Exception as error:
        return error.__cause__ or error
    return adapted


def trained_shapes(model: nn.Module) -> list[torch.Size]:
    """Of all that is trained."""
    return sorted(parameter.shape for parameter in model.parameters() if parameter.requires_grad)
