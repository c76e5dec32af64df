from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import random_llama
from safetensors.torch import save_file
from transformers import LlamaForCausalLM, MixtralConfig, MixtralForCausalLM, PreTrainedTokenizerFast

from llmcycle.compress.size import beside_linear, linear_layers, measure, tensor_bytes
from llmcycle.compress.stage import tell_what_stays


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


def test_experts_in_one_tensor_are_no_linear_layers(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    mixture = MixtralForCausalLM(MixtralConfig(vocab_size=20, num_key_value_heads=2, num_local_experts=4, **sizes))
    tell_what_stays(mixture)
    said = capsys.readouterr().err
    experts = sum(p.numel() for name, p in mixture.named_parameters() if ".mlp." in name)  # and the router
    assert f"{100 * experts / mixture.num_parameters():.0f} % of the weights" in said
    assert "experts.gate_up_proj" in said
    assert sum(beside_linear(mixture).values()) > 0.8
    tell_what_stays(random_llama(20))
    assert not capsys.readouterr().err
