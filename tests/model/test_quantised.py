"""Adapters on 4-bit weights: what is handed on is what was trained, in plain weights; what the rounded ones hold."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import random_llama
from peft import AdaLoraConfig, IA3Config, LilyConfig, LoraConfig, PeftModel, PromptTuningConfig, UniLoraConfig
from torch import Tensor
from torchao.quantization import Int8WeightOnlyConfig
from transformers import BitsAndBytesConfig, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerBase, TorchAoConfig

from llmcycle.handoff import Safetensors, hand_on
from llmcycle.model import adapt, digest, expected, load, measure, token_logits
from llmcycle.model.quantised import held, write_out

ALL = {"task_type": "CAUSAL_LM", "target_modules": "all-linear"}
METHODS = [
    lambda: LoraConfig(**ALL),
    lambda: LoraConfig(**ALL, use_dora=True),
    lambda: IA3Config(task_type="CAUSAL_LM"),
    lambda: AdaLoraConfig(**ALL, total_step=3),
    lambda: LoraConfig(**ALL, init_lora_weights="olora"),
]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp(name) for name in ("llama", "gpt2")}
    random_llama(261, hidden_size=64, intermediate_size=128).save_pretrained(folders["llama"])
    config = GPT2Config(vocab_size=261, n_embd=64, n_layer=2, n_head=2, n_positions=64, initializer_range=0.3)
    GPT2LMHeadModel(config).save_pretrained(folders["gpt2"])
    return folders


def rounded(base: Path, dtype: str = "float32") -> Any:
    nf4 = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": dtype}
    return load(base, dtype, quantization_config=BitsAndBytesConfig(load_in_4bit=True, **nf4))


def train(model: Any, probe: dict[str, Tensor]) -> list[float]:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(3):
        loss = model(**probe, labels=probe["input_ids"]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("base", ["llama", "gpt2"])
@pytest.mark.parametrize("method", METHODS, ids=["lora", "dora", "ia3", "adalora", "olora"])
def test_what_was_trained_on_4_bits_is_written_in_plain_weights(
    bases: dict[str, Path],
    base: str,
    method: Any,
    chat_tokenizer: PreTrainedTokenizerBase,
    probe: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    model = adapt(rounded(bases[base]), method())
    before = digest(rounded(bases[base]))
    losses = train(model, probe)
    assert losses[-1] < losses[0] or isinstance(model.active_peft_config, AdaLoraConfig)
    handed = hand_on(model, chat_tokenizer, tmp_path, Safetensors(), probe)
    assert handed.merged
    assert not isinstance(handed.model, PeftModel)
    assert all(p.dtype == torch.float32 for p in handed.model.parameters())
    assert "quantization_config" not in json.loads((tmp_path / "config.json").read_text())
    assert digest(rounded(bases[base])) == before


def test_numbers_that_an_adapter_draws_are_carried_over(bases: dict[str, Path]) -> None:
    """UniLoRA's indices are drawn when it is put on: drawn anew, what was learnt would mean other weights."""
    model = adapt(rounded(bases["llama"]), UniLoraConfig(**ALL, r=4, theta_d_length=64))
    before = {name: buffer.clone() for name, buffer in model.named_buffers() if "unilora" in name}
    torch.manual_seed(99)
    after = dict(write_out(model).named_buffers())
    assert before
    assert all(torch.equal(after[name], buffer) for name, buffer in before.items())


def test_trained_in_16_bits_it_is_merged_in_32(
    bases: dict[str, Path], chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    model = adapt(rounded(bases["llama"], "bfloat16"), LoraConfig(**ALL))
    train(model, probe)
    assert hand_on(model, chat_tokenizer, tmp_path, Safetensors(), probe).merged


# On 4 bits; of some methods only their merge says that there is none.
BESIDE = {
    "prompt tuning": lambda: PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    "lily": lambda: LilyConfig(**ALL, r=2),
    "alora": lambda: LoraConfig(**ALL, alora_invocation_tokens=[5]),
}


@pytest.mark.parametrize("kind", [*BESIDE, "lora on torchao's 8 bits"])
def test_what_cannot_be_merged_stays_beside_its_rounded_base(
    bases: dict[str, Path], kind: str, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    if kind in BESIDE:
        model = adapt(rounded(bases["llama"]), BESIDE[kind]())
    else:
        eight = load(bases["llama"], quantization_config=TorchAoConfig(Int8WeightOnlyConfig()))
        model = adapt(eight, LoraConfig(**ALL))
    train(model, probe)
    measured = measure(model)
    assert measured.weights < measure(load(bases["llama"])).weights
    assert measured.parameters == expected(model, partial(torch.optim.AdamW, lr=1e-3)).parameters
    expected_logits = token_logits(model.eval(), **probe)
    handed = hand_on(model, chat_tokenizer, tmp_path, Safetensors(), probe)
    assert not handed.merged
    assert handed.model.get_base_model().is_quantized
    assert torch.equal(token_logits(load(tmp_path), **probe), expected_logits)


def test_all_of_a_rounded_model_is_not_trained(bases: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="peft=none: rounded weights"):
        adapt(rounded(bases["llama"]), None)


def test_evaluating_changes_no_rounded_weight(bases: dict[str, Path], probe: dict[str, Tensor]) -> None:
    model = rounded(bases["llama"])
    before, scales = digest(model), [part.clone() for p in model.parameters() for part in held(p)]
    with torch.no_grad():
        model.eval()(**probe)
    assert digest(model) == before
    after = [part for p in model.parameters() for part in held(p)]
    assert all(torch.equal(was, now) for was, now in zip(scales, after, strict=True))


def test_bytes_of_rounded_weights_by_hand(bases: dict[str, Path]) -> None:
    """Half a byte a weight, a byte for the scale of 64 of them, and the tables; they count as the weights they are."""
    model, plain = rounded(bases["llama"]), load(bases["llama"])
    weight = model.model.layers[0].mlp.up_proj.weight  # 128 x 64
    codes, scales, table, scale_of_scales, second_table = held(weight)
    assert (codes.nbytes, scales.nbytes, table.numel()) == (128 * 64 // 2, 128 * 64 // 64, 16)
    assert (scale_of_scales.numel(), second_table.numel()) == (1, 256)
    memory = measure(model)
    assert memory.parameters == measure(plain).parameters
    assert memory.weights < 0.5 * measure(plain).weights
    adapted, optim = adapt(model, LoraConfig(**ALL)), partial(torch.optim.AdamW, lr=1e-3)
    full = expected(adapted, optim, train_all=True)
    assert full.trained == expected(plain, optim).trained
