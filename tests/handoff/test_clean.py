"""Sound hand-offs of every kind of model and adapter: none is refused."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from faulty import SMALL
from peft import IA3Config, LoraConfig, PeftConfig, PromptTuningConfig
from torch import Tensor
from transformers import (
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MixtralConfig,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    Qwen3Config,
)

from llmcycle.handoff import Safetensors, hand_on
from llmcycle.model import adapt, load, scratch

WIDE: dict[str, Any] = {**SMALL, "num_key_value_heads": 2, "initializer_range": 0.3}
GPT2: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 2, "initializer_range": 0.3}
MODELS: dict[str, tuple[type[PreTrainedConfig], dict[str, Any]]] = {
    "llama": (LlamaConfig, WIDE),
    "gpt2": (GPT2Config, GPT2),
    "qwen3": (Qwen3Config, {**WIDE, "head_dim": 16}),
    "gemma3": (Gemma3TextConfig, {**WIDE, "head_dim": 16, "sliding_window": 8}),
    "mixtral": (MixtralConfig, {**WIDE, "num_local_experts": 4}),
}
PROJECTIONS = r".*(q_proj|v_proj|c_attn)"
METHODS: dict[str, PeftConfig | None] = {
    "full": None,
    "lora": LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear"),
    "tokens": LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear", trainable_token_indices=[1, 3]),
    "dora": LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=PROJECTIONS, use_dora=True),
    "ia3": IA3Config(task_type="CAUSAL_LM", target_modules=PROJECTIONS, feedforward_modules=[]),
    "prompt_tuning": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
}
QUICK = {("llama", method, "float32") for method in METHODS} | {(name, "lora", "float32") for name in MODELS}
CASES = [
    pytest.param(*case, tied, marks=() if case in QUICK else pytest.mark.slow)
    for name in MODELS
    for method in METHODS
    for case in [(name, method, "float32")] + [(name, method, "bfloat16")] * (method in ("full", "lora"))
    for tied in (False, True)
]


def test_there_are_enough() -> None:
    assert len(CASES) >= 50


@pytest.mark.parametrize(("name", "method", "dtype", "tied"), CASES)
def test_none_is_refused(
    name: str,
    method: str,
    dtype: str,
    tied: bool,
    chat_tokenizer: PreTrainedTokenizerBase,
    probe: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    cls, sizes = MODELS[name]
    scratch(cls(vocab_size=len(chat_tokenizer), tie_word_embeddings=tied, **sizes)).save_pretrained(tmp_path / "base")
    model = adapt(load(tmp_path / "base", getattr(torch, dtype)), deepcopy(METHODS[method]))
    with torch.no_grad():
        for parameter in model.parameters():  # as training would
            parameter += 0.02 * torch.randn_like(parameter) * parameter.requires_grad
    handed = hand_on(model, chat_tokenizer, tmp_path / "out", Safetensors(), probe)
    if dtype == "float32":
        assert handed.difference.share <= 2e-5
    assert handed.model.dtype == getattr(torch, dtype)
    assert handed.merged == (method not in ("full", "prompt_tuning"))
