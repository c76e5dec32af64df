"""The arithmetic of a training step, against torch's own count of it."""

from __future__ import annotations

import peft
import pytest
import torch
from conftest import random_llama
from torch.utils.flop_counter import FlopCounterMode
from transformers import MixtralConfig, MixtralForCausalLM

from llmcycle.train.throughput import expert_share, flops_per_token, peak_flops, product_dtype


@pytest.mark.parametrize("adapter", [False, True])
def test_it_is_what_torch_counts(adapter: bool) -> None:
    model = random_llama(97)
    model.set_attn_implementation("eager")  # torch does not count inside a fused kernel
    if adapter:
        model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear"))
        model.enable_input_require_grads()  # so that gradients reach the first layer, as the formula has it
    ids = torch.randint(0, 97, (2, 24))
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, labels=ids).loss.backward()
    assert flops_per_token(model, 24) * ids.numel() == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_a_token_visits_some_experts() -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    options = {"vocab_size": 64, "num_key_value_heads": 2, "num_experts_per_tok": 2, **sizes}
    few, many = (MixtralForCausalLM(MixtralConfig(num_local_experts=n, **options)) for n in (4, 8))
    assert expert_share(many.config) == 0.25
    router = 6 * 4 * 16  # the only part that grows with the number of experts
    assert flops_per_token(many, 8) == pytest.approx(flops_per_token(few, 8) + router)


def test_the_peak_is_measured_in_the_type_of_the_products() -> None:
    assert peak_flops(torch.device("cpu"), torch.float32) > 1e8
    assert [product_dtype(p) for p in ("32-true", "bf16-mixed", "16-mixed")] == [
        torch.float32,
        torch.bfloat16,
        torch.float16,
    ]
