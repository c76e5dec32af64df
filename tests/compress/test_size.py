from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import random_llama
from safetensors.torch import save_file
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from llmcycle.compress.size import linear_layers, measure, tensor_bytes


def test_an_output_layer_counts_unless_it_is_tied(wide: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    assert "lm_head" not in linear_layers(wide)
    assert "lm_head" in linear_layers(random_llama(len(tokenizer)))
    assert len(linear_layers(wide)) == 2 * 7


def test_bytes_are_read_from_all_files(tmp_path: Path) -> None:
    save_file({"a.weight": torch.zeros(3, 5), "b.weight": torch.zeros(7)}, tmp_path / "model-1.safetensors")
    save_file(
        {"a._weight_scale": torch.zeros(2, dtype=torch.bfloat16), "ab.weight": torch.zeros(9)},
        tmp_path / "model-2.safetensors",
        metadata={"a.weight": "{}"},
    )
    assert tensor_bytes(tmp_path / "model-1.safetensors") == {"a.weight": 60, "b.weight": 28}
    size = measure(tmp_path, ["a"], 15)
    assert (size.linear, size.fp32) == (64, 60)
    assert size.files == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_a_layer_in_no_file_is_an_error(tmp_path: Path) -> None:
    save_file({"a.weight": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="b is in no weight file"):
        measure(tmp_path, ["a", "b"], 6)
