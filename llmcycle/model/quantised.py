"""A base model whose weights are rounded: what it holds, and how an adapter on it becomes part of plain weights."""

from __future__ import annotations

import copy
import json
from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from peft import PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D


def is_quantised(model: PreTrainedModel) -> bool:
    """Whether its weights are rounded, by whichever library."""
    return getattr(model, "hf_quantizer", None) is not None


def mergeable_base(model: PreTrainedModel) -> bool:
    """Whether an adapter can be merged into its weights: plain ones, or 4-bit ones, which `write_out` makes plain.

    Weights of 8 bits are left out: bitsandbytes rounds what they are multiplied with as well.
    """
    return not is_quantised(model) or _is_4bit(model)


def keep_as_rounded(model: nn.Module) -> None:
    """On some CPUs bitsandbytes packs 4-bit weights anew when they are first evaluated, with bf16 scales: not here.

    What was evaluated before training and what is trained would be two models.
    """
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def rounding(model: PreTrainedModel) -> dict[str, Any]:
    """How its weights were rounded while they were loaded; empty where they are plain, or were saved rounded."""
    if not is_quantised(model) or model.hf_quantizer.pre_quantized:
        return {}
    settings: dict[str, Any] = json.loads(model.hf_quantizer.quantization_config.to_json_string(use_diff=False))
    return settings


def compute_in_fp32(model: nn.Module) -> None:
    """Take everything that is not rounded in fp32, and multiply in fp32."""
    model.float()
    for module in model.modules():
        if isinstance(module, Linear4bit):
            weight: Any = module.weight
            module.compute_dtype = weight.quant_state.dtype = torch.float32


def write_out(model: PreTrainedModel | PeftModel) -> PreTrainedModel | PeftModel:
    """The same adapter on the same 4-bit weights, each written as the fp32 number that it stands for.

    A merge into 4 bits would round the adapter away. Any other model is given back as it is.
    """
    if not isinstance(model, PeftModel) or not _is_4bit(model):
        return model
    learnt, method = get_peft_model_state_dict(model), copy.deepcopy(model.active_peft_config)
    drawn = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    model.get_base_model().is_loaded_in_4bit = False  # some methods ask, even before they are taken off
    if isinstance(getattr(method, "init_lora_weights", None), str):
        method.init_lora_weights = True  # OLoRA's start would be taken out of the base once more
    base = _plain(model.unload())
    adapted = get_peft_model(base, method)
    set_peft_model_state_dict(adapted, learnt)
    for name, buffer in adapted.named_buffers():  # UniLoRA's indices are drawn when it is put on
        if name in drawn and drawn[name].shape == buffer.shape:
            buffer.copy_(drawn[name])
    return adapted.eval()


def full_shape(tensor: Tensor) -> Tensor:
    """A tensor on the meta device as it would be if it were not rounded."""
    state = getattr(tensor, "quant_state", None)
    like = tensor if state is None else state
    return torch.empty(like.shape, dtype=like.dtype, device="meta")


def held(tensor: Tensor) -> list[Tensor]:
    """The plain tensors that hold its bytes: packed numbers and their scales where it is rounded."""
    if isinstance(tensor, Params4bit) and tensor.quant_state is not None:
        states = [state for state in (tensor.quant_state, tensor.quant_state.state2) if state is not None]
        return [tensor.data, *(part for state in states for part in (state.absmax, state.code))]
    inner = getattr(tensor, "__tensor_flatten__", None)
    if inner is None:
        return [tensor]
    parts = (getattr(tensor, name) for name in inner()[0])
    # A sharded one also has a mesh.
    return [tensor for part in parts if isinstance(part, Tensor) for tensor in held(part)]


def _is_4bit(model: nn.Module) -> bool:
    return any(isinstance(module, Linear4bit) for module in model.modules())


def _plain(base: PreTrainedModel) -> PreTrainedModel:
    """bitsandbytes writes linear layers; those that the architecture has as Conv1D (GPT-2) become that again."""
    plain = base.dequantize(dtype=torch.float32)
    with torch.device("meta"):
        like = type(plain)(copy.deepcopy(plain.config))
    for name, module in like.named_modules():
        if isinstance(module, Conv1D):
            linear = plain.get_submodule(name)
            restored = Conv1D(linear.out_features, linear.in_features)
            restored.weight, restored.bias = nn.Parameter(linear.weight.T.contiguous()), linear.bias
            plain.set_submodule(name, restored)
    return plain
