"""A 16-bit model is written in 16 bits: what rounding the merged weights does, beside what computing in 16 bits does.

Measured on Llamas of 2 to 24 layers, widths 32 to 128, weights of standard deviation 0.02 to 0.3: rounding the weights
moves logits by 0.2 to 8 % of the largest in bf16 and by 0.03 to 0.3 % in fp16, which is 0.3 to 1.0 times what computing
with them in that dtype does. Where experts are chosen (Mixtral) a rounded weight may choose another, and logits jump by
whatever the experts differ; so it is weights, not logits, whose rounding is bounded.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import random_llama
from peft import LoraConfig, PeftModel
from torch import Tensor
from transformers import BitsAndBytesConfig, PreTrainedTokenizerBase

from llmcycle.handoff import Adapter, Safetensors, hand_on
from llmcycle.handoff.compare import difference
from llmcycle.handoff.observe import observe
from llmcycle.model import adapt, load

LORA = {"task_type": "CAUSAL_LM", "target_modules": "all-linear", "r": 4}
SIZES = [(32, 2), (64, 4), (128, 8)]


def tuned(folder: Path, dtype: str, scale: float = 0.1) -> PeftModel:
    """A LoRA whose B is `scale` times as wide as the weights below it."""
    torch.manual_seed(0)
    model = adapt(load(folder, dtype), LoraConfig(**LORA))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter += scale * 0.1 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_rounding_the_merged_weights_costs_no_more_than_computing_does(
    dtype: str,
    width: int,
    layers: int,
    chat_tokenizer: PreTrainedTokenizerBase,
    probe: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": layers}
    random_llama(len(chat_tokenizer), **sizes).save_pretrained(tmp_path / "base")
    exact = observe(tuned(tmp_path / "base", dtype).float(), probe)
    handed = hand_on(tuned(tmp_path / "base", dtype), chat_tokenizer, tmp_path / "out", Safetensors(), probe)
    assert handed.merged
    assert {p.dtype for p in load(tmp_path / "out", "auto").parameters()} == {getattr(torch, dtype)}
    precise = observe(load(tmp_path / "out", "float32"), probe)
    by_weights = difference(exact, precise).share
    by_computing = difference(precise, observe(load(tmp_path / "out", dtype), probe)).share
    assert 0 < by_weights <= 1.5 * by_computing
    assert handed.difference.share <= by_weights + by_computing


def test_what_is_written_is_the_fp32_merge_rounded_once(
    base: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    expected = tuned(base, "bfloat16").float().merge_and_unload()
    hand_on(tuned(base, "bfloat16"), chat_tokenizer, tmp_path / "out", Safetensors(), probe)
    written = dict(load(tmp_path / "out", "auto").named_parameters())
    for name, parameter in expected.named_parameters():
        assert torch.equal(written[name], parameter.bfloat16()), name


def test_another_dtype_can_be_asked_for(
    base: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    wide = hand_on(tuned(base, "bfloat16"), chat_tokenizer, tmp_path / "32", Safetensors(dtype="float32"), probe)
    assert wide.model.dtype == torch.float32
    assert wide.difference.share <= 2e-5
    half = hand_on(load(base), chat_tokenizer, tmp_path / "16", Safetensors(dtype="bfloat16"), probe)
    assert half.model.dtype == torch.bfloat16
    assert (tmp_path / "16" / "model.safetensors").stat().st_size < 0.6 * (base / "model.safetensors").stat().st_size


def test_weights_that_a_narrow_dtype_cannot_hold_are_refused(
    base: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    """fp16 ends below 6e-8: a head that small becomes nothing."""
    model = load(base)
    model.lm_head.weight.data *= 1e-7
    with pytest.raises(ValueError, match=r"lm_head.weight has numbers that float16 .*handoff\.dtype=float32"):
        hand_on(model, chat_tokenizer, tmp_path / "out", Safetensors(dtype="float16"), probe)


def test_an_adapter_beside_a_16_bit_base_is_not_rounded(
    base: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    model = tuned(base, "bfloat16")
    handed = hand_on(model, chat_tokenizer, tmp_path / "out", Adapter(), probe)
    assert handed.difference.max_difference == 0
    assert handed.model.get_base_model().dtype == torch.bfloat16


def test_what_was_trained_on_4_bits_is_written_in_32(
    chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    random_llama(len(chat_tokenizer), hidden_size=64, intermediate_size=128).save_pretrained(tmp_path / "base")
    nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype="bfloat16")
    model = adapt(load(tmp_path / "base", "bfloat16", quantization_config=nf4), LoraConfig(**LORA))
    assert hand_on(model, chat_tokenizer, tmp_path / "out", Safetensors(), probe).model.dtype == torch.float32
