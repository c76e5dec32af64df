"""Where a model's positions end, less the place of virtual tokens."""

from __future__ import annotations

import pytest
from peft import LoraConfig, PeftConfig, PrefixTuningConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from llmcycle.model.positions import room

SIZE = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 64}
GPT2 = GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2, n_positions=24)


def built(config: PreTrainedConfig) -> PreTrainedModel:
    return (AutoModelForMaskedLM if config.model_type == "bert" else AutoModelForCausalLM).from_config(config)


@pytest.mark.parametrize(
    ("config", "most"),
    [
        (GPT2, 24),
        (BertConfig(**SIZE, max_position_embeddings=48), 48),
        (LlamaConfig(**SIZE, max_position_embeddings=48), None),
    ],
)
def test_a_table_of_positions_has_an_end(config: PreTrainedConfig, most: int | None) -> None:
    assert room(built(config)) == most


@pytest.mark.parametrize(
    ("peft", "most"),
    [(PrefixTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"), 20), (LoraConfig(target_modules=["c_fc"]), 24)],
)
def test_virtual_tokens_have_a_place_in_it(peft: PeftConfig, most: int) -> None:
    assert room(get_peft_model(built(GPT2), peft)) == most
