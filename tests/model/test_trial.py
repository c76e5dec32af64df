"""Whether a method works on an architecture is known without weights, and a trial leaves nothing behind."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import (
    AdaptionPromptConfig,
    BOFTConfig,
    LoraConfig,
    OFTConfig,
    PeftConfig,
    PrefixTuningConfig,
    PromptTuningConfig,
    TrainableTokensConfig,
    VeraConfig,
)
from transformers import BertConfig, BitsAndBytesConfig, GPT2Config, LlamaConfig, PreTrainedConfig

from llmcycle.abilities import CAUSAL, CLASSIFIER, MASKED
from llmcycle.model.trial import SMALL, misfit, misfit_rounded, shapes, size

ALL = "all-linear"
LLAMA = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=2, pad_token_id=0
)
LARGE = LlamaConfig(hidden_size=1024, num_hidden_layers=12, num_attention_heads=8)
GPT2 = GPT2Config(vocab_size=64, n_embd=32, n_layer=3, n_head=2, n_positions=32)
BERT = BertConfig(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2, num_labels=1
)


@pytest.mark.parametrize(
    ("config", "kind", "peft", "reason"),
    [
        (GPT2, CAUSAL, OFTConfig(target_modules=ALL), "Conv1D"),
        (BERT, MASKED, PrefixTuningConfig(num_virtual_tokens=4), "virtual tokens"),
        (LLAMA, CAUSAL, BOFTConfig(target_modules=ALL, boft_block_size=5), "divisible"),
        (LARGE, CAUSAL, LoraConfig(target_modules=["q_proj"], layers_to_transform=[12]), "not found"),
        (LLAMA, CAUSAL, LoraConfig(target_modules=["layers.4.mlp.up_proj"]), "not found"),
        (LLAMA, CLASSIFIER, AdaptionPromptConfig(adapter_len=4, adapter_layers=2), "new head of a classifier"),
    ],
)
def test_what_does_not_work_is_told(config: PreTrainedConfig, kind: str, peft: PeftConfig, reason: str) -> None:
    assert reason in misfit(config, kind, peft)


@pytest.mark.parametrize(
    ("config", "kind", "peft"),
    [
        (GPT2, CAUSAL, LoraConfig(target_modules=ALL)),
        (BERT, MASKED, OFTConfig(target_modules=ALL)),
        (BERT, CLASSIFIER, PromptTuningConfig(num_virtual_tokens=4)),
        (LLAMA, CAUSAL, BOFTConfig(target_modules=ALL, boft_block_size=4)),
        (LLAMA, CLASSIFIER, VeraConfig(target_modules=ALL)),
        (LLAMA, CLASSIFIER, TrainableTokensConfig(token_indices=[1])),
        (LLAMA, CAUSAL, LoraConfig(target_modules=ALL, init_lora_weights="corda")),
        (LLAMA, CAUSAL, LoraConfig(target_modules=["layers.3.mlp.up_proj"])),
        (LLAMA, CAUSAL, AdaptionPromptConfig(adapter_len=4, adapter_layers=4)),
        (LARGE, CAUSAL, LoraConfig(target_modules=["q_proj"], layers_to_transform=[11])),
        (LARGE, CAUSAL, BOFTConfig(target_modules=ALL, boft_block_size=4)),
    ],
)
def test_what_works_passes(config: PreTrainedConfig, kind: str, peft: PeftConfig) -> None:
    assert misfit(config, kind, peft) == ""


def test_a_trial_changes_nothing() -> None:
    config, peft = copy.deepcopy(GPT2), BOFTConfig(target_modules=ALL)
    before, state = (config.to_dict(), peft.to_dict()), torch.random.get_rng_state()
    misfit(config, CAUSAL, peft)
    assert (config.to_dict(), peft.to_dict()) == before
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_shorter_model_is_tried_first() -> None:
    assert [shape.num_hidden_layers for shape in shapes(LARGE)] == [2, 12]
    assert [shape.num_hidden_layers for shape in shapes(BERT)] == [1]
    assert size(LLAMA, CAUSAL) < SMALL < size(next(shapes(LARGE)), CAUSAL)


@pytest.mark.parametrize("config", [LLAMA, GPT2, LARGE], ids=["llama", "gpt2", "large"])
def test_rounded_weights_are_tried_as_such(config: PreTrainedConfig) -> None:
    rounding = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype="float32")
    assert misfit_rounded(config, CAUSAL, LoraConfig(target_modules=ALL), rounding) == ""
    wrong = LoraConfig(target_modules=ALL, init_lora_weights="pissa")
    assert "float32" in misfit_rounded(config, CAUSAL, wrong, rounding)


def test_what_fails_on_small_plain_weights_too_is_left_to_the_stage() -> None:
    rounding = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype="float32")
    assert misfit_rounded(LARGE, CAUSAL, BOFTConfig(target_modules=ALL, boft_block_size=256), rounding) == ""
