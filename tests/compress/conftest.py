"""A model whose widths every shipped quantisation divides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import random_llama
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


class Rows:
    """Prompts for validation."""

    train: list[dict[str, Any]] = []  # noqa: RUF012
    validation = [{"prompt": f"Question {i}"} for i in range(20)]  # noqa: RUF012


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def wide(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return random_llama(len(tokenizer), hidden_size=128, intermediate_size=256, tie_word_embeddings=True)


@pytest.fixture
def source(tmp_path: Path, wide: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> str:
    path = tmp_path / "source"
    wide.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path
