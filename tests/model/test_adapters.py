"""Which adapters merge, and which texts may be padded under them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import (
    IA3Config,
    LoraConfig,
    PeftConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    VeraConfig,
)
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase, TorchAoConfig

from llmcycle.engine import generate
from llmcycle.model import adapt, may_be_padded, mergeable
from llmcycle.model.adapters import base_parameters

LAYERS = [LoraConfig(target_modules="all-linear"), IA3Config(), VeraConfig(r=4, target_modules="all-linear")]
PROMPTS = [
    kind(task_type="CAUSAL_LM", num_virtual_tokens=3)
    for kind in (PromptTuningConfig, PromptEncoderConfig, PrefixTuningConfig)
]


@pytest.mark.parametrize("peft", LAYERS + PROMPTS, ids=lambda peft: peft.peft_type.value)
def test_layers_merge_and_prompts_do_not(model: LlamaForCausalLM, peft: PeftConfig) -> None:
    assert not mergeable(model)
    assert mergeable(adapt(model, peft)) == (peft in LAYERS)


def test_nothing_merges_into_quantised_weights(base: Path) -> None:
    from torchao.quantization import Int8WeightOnlyConfig

    quantised = LlamaForCausalLM.from_pretrained(base, quantization_config=TorchAoConfig(Int8WeightOnlyConfig()))
    assert not mergeable(adapt(quantised, LoraConfig(target_modules="all-linear")))


@pytest.mark.parametrize("peft", LAYERS + PROMPTS, ids=lambda peft: peft.peft_type.value)
def test_parameters_of_the_base_are_told_apart(model: LlamaForCausalLM, peft: PeftConfig) -> None:
    shapes = sorted(p.shape for p in model.parameters())
    adapted = adapt(model, peft)
    assert sorted(p.shape for p in base_parameters(adapted)) == shapes
    assert not any(p.requires_grad for p in base_parameters(adapted))


def test_without_an_adapter_everything_is_trained(model: LlamaForCausalLM) -> None:
    assert all(p.requires_grad for p in adapt(model.requires_grad_(False), None).parameters())


@pytest.mark.parametrize("peft", [None, *LAYERS, *PROMPTS], ids=lambda peft: peft.peft_type.value if peft else "none")
def test_answers_do_not_depend_on_the_batch(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, peft: PeftConfig | None
) -> None:
    adapted = adapt(model, peft).eval()
    for parameter in adapted.parameters():
        if parameter.requires_grad and peft is not None:
            torch.nn.init.normal_(parameter, std=0.3)
    prompts = ["What colour is the lamp?", "Hi", "Tell me all about the chair", "No"]
    assert generate(adapted, tokenizer, prompts) == [generate(adapted, tokenizer, [p])[0] for p in prompts]
    assert may_be_padded(adapted) == (peft is None or peft not in PROMPTS[:2])
