"""Which adapters merge, and which texts may be padded under them."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from conftest import random_llama
from peft import (
    BOFTConfig,
    C3AConfig,
    IA3Config,
    LoHaConfig,
    LoraConfig,
    PeftConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    VeraConfig,
)
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerBase,
    TorchAoConfig,
)

from llmcycle.engine import TransformersEngine, texts
from llmcycle.handoff import merge
from llmcycle.model import adapt, may_be_padded, mergeable, moves_base
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
    assert texts(TransformersEngine(adapted, tokenizer), prompts) == [
        texts(TransformersEngine(adapted, tokenizer), [p])[0] for p in prompts
    ]
    assert may_be_padded(adapted) == (peft is None or peft not in PROMPTS[:2])


@pytest.mark.parametrize("start", [True, "gaussian", "orthogonal", "mica", "pissa", "pissa_niter_4", "olora"])
def test_what_takes_its_start_out_of_the_base_is_told_apart(model: LlamaForCausalLM, start: bool | str) -> None:
    ids = torch.tensor([[5, 6, 7, 8]])
    before = model(ids).logits.detach()
    adapted = adapt(model, LoraConfig(target_modules="all-linear", init_lora_weights=start)).eval()
    with adapted.disable_adapter(), torch.no_grad():
        assert torch.allclose(adapted(ids).logits, before, atol=1e-4) != moves_base(adapted)


def test_a_method_that_does_not_fit_is_refused_with_the_reason_and_the_layers(model: LlamaForCausalLM) -> None:
    reason = r"peft: C3A does not work on this llama model: The block size .* \(it has down_proj, embed_tokens"
    with pytest.raises(ValueError, match=reason):
        adapt(model, C3AConfig(task_type="CAUSAL_LM", target_modules="all-linear", block_size=48))
    with pytest.raises(ValueError, match=r"peft\.target_modules: no layer is called query"):
        adapt(random_llama(64), LoraConfig(target_modules=["query"]))


def test_a_reward_models_head_is_trained_beside_the_adapter() -> None:
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, pad_token_id=0
    )
    scoring = LlamaForSequenceClassification(config)
    adapted = adapt(scoring, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear"))
    trained = {name.rpartition(".")[0] for name, p in adapted.named_parameters() if p.requires_grad}
    assert any("score" in name for name in trained)
    assert mergeable(adapted)


@pytest.mark.parametrize(
    ("method", "targets", "tied"),
    [
        (LoraConfig, "all-linear", True),
        (LoraConfig, "all-linear", False),
        (LoraConfig, ["q_proj", "embed_tokens"], False),
        (BOFTConfig, "all-linear", True),
        (LoHaConfig, ["q_proj"], False),
    ],
    ids=str,
)
def test_rows_of_single_tokens_are_trained_where_nothing_else_trains_them(
    method: type[PeftConfig], targets: str | list[str], tied: bool
) -> None:
    plain = random_llama(32, tie_word_embeddings=tied)
    before = {name: weight.clone() for name, weight in plain.state_dict().items()}
    model = adapt(plain, method(target_modules=targets), new_tokens=[3, 5])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += parameter.requires_grad * torch.randn_like(parameter)
    ids = torch.arange(32)[None]
    logits = model.eval()(input_ids=ids).logits
    merged = merge(model)
    torch.testing.assert_close(merged(input_ids=ids).logits, logits, rtol=1e-4, atol=1e-4)
    for name, layer in {"model.embed_tokens": merged.model.embed_tokens, "lm_head": merged.lm_head}.items():
        moved = (layer.weight != before[f"{name}.weight"]).any(1).nonzero().flatten().tolist()
        own = "embed_tokens" in targets and "embed" in name
        assert moved == (list(range(32)) if own else [3, 5])


@pytest.mark.parametrize("peft", PROMPTS, ids=lambda peft: peft.peft_type.value)
def test_methods_that_work_on_the_input_train_no_rows(model: LlamaForCausalLM, peft: PeftConfig) -> None:
    adapted = adapt(model, copy.deepcopy(peft), new_tokens=[3, 5])
    assert not any(p.requires_grad for p in base_parameters(adapted))
    assert not any("token_adapter" in name for name, _ in adapted.named_modules())
