"""A chat tokenizer, a base model in a folder, and a probe."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@pytest.fixture
def chat_tokenizer(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture
def probe(chat_tokenizer: PreTrainedTokenizerBase) -> dict[str, Tensor]:
    rows = ["<|user|>What colour is the lamp?<|end|><|assistant|>red<|end|>", "<|user|>Hello<|end|>"]
    return dict(chat_tokenizer(rows, padding=True, return_tensors="pt"))


@pytest.fixture
def base(model: LlamaForCausalLM, tmp_path: Path) -> Path:
    """A folder that holds the base model."""
    model.save_pretrained(tmp_path / "base")
    return tmp_path / "base"
