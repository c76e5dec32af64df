"""Our decoding loop writes what the library's own writes, and reads fewer rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import byte_tokenizer, random_llama
from options import OPTIONS, build
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from torch import Tensor
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    MambaConfig,
    MambaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from llmcycle.data.chat import set_chat_template
from llmcycle.engine.decoding import Written, may_narrow, write
from llmcycle.engine.generation import quiet
from llmcycle.model import adapt, needs_data

VOCABULARY, PAD, ENDS = 40, 0, list(range(30, 40))  # one token in four ends an answer
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
HEADS = {"head_dim": 16, "num_key_value_heads": 1, "intermediate_size": 64}
MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: random_llama(VOCABULARY),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=2)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, **HEADS)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, **HEADS, sliding_window=4)),
    "mixtral": lambda: MixtralForCausalLM(
        MixtralConfig(**SIZES, num_key_value_heads=1, intermediate_size=64, num_local_experts=2)
    ),
    "mamba": lambda: MambaForCausalLM(MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2)),
}
WISHES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampled": {"do_sample": True, "num_return_sequences": 4, "top_k": 0},
    "filtered": {"do_sample": True, "num_return_sequences": 2, "top_k": 9, "top_p": 0.9, "temperature": 1.5},
    "penalised": {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2, "min_new_tokens": 3},
    "without a cache": {"do_sample": True, "num_return_sequences": 3, "top_k": 0, "use_cache": False},
}


def prompts() -> dict[str, Tensor]:
    """Six of three lengths, left-padded."""
    ids = torch.randint(1, 30, (6, 7), generator=torch.Generator().manual_seed(3))
    there = torch.arange(7) >= torch.tensor([0, 2, 4, 0, 2, 4])[:, None]
    return {"input_ids": torch.where(there, ids, PAD), "attention_mask": there.long()}


def written(model: Any, wish: dict[str, Any], own: bool, given: dict[str, Tensor]) -> tuple[Any, int]:
    """The output, and how many rows the model's layers have read."""
    config = GenerationConfig(
        max_new_tokens=16, pad_token_id=PAD, eos_token_id=ENDS, return_dict_in_generate=True, output_scores=True, **wish
    )
    assert may_narrow(model, config)
    rows: list[int] = []
    hook = model.get_input_embeddings().register_forward_hook(lambda _, given, __: rows.append(given[0].numel()))
    torch.manual_seed(0)
    with quiet():
        output = model.generate(**given, generation_config=config, custom_generate=write if own else None)
    hook.remove()
    return output, sum(rows)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("wish", WISHES)
def test_the_same_tokens_and_log_probabilities_from_fewer_rows(name: str, wish: str) -> None:
    torch.manual_seed(1)
    model = MODELS[name]().eval()
    given = prompts()
    if name == "mamba":  # which knows no padding
        given = {"input_ids": given["input_ids"][[0, 3]], "attention_mask": given["attention_mask"][[0, 3]]}
    expected, before = written(model, WISHES[wish], own=False, given=given)
    found, after = written(model, WISHES[wish], own=True, given=given)
    assert isinstance(found, Written)
    assert torch.equal(found.sequences, expected.sequences)
    new = expected.sequences[:, 7:]
    for step, scores in enumerate(expected.scores):
        going = (new[:, :step, None] != torch.tensor(ENDS)).all(-1).all(-1)
        logprobs = scores.log_softmax(-1).gather(1, new[:, step, None]).squeeze(1)
        assert torch.allclose(found.logprobs[going, step], logprobs[going], atol=1e-5)
    narrows = name != "mamba" and wish not in ("without a cache", "penalised")
    assert after < 0.7 * before if narrows and "num_return_sequences" in WISHES[wish] else after <= before
    assert (new == PAD).any() or "do_sample" not in WISHES[wish], "no answer has ended before others"


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - {"none", "beft"}))  # a Llama has no bias to train
def test_every_adapter_writes_as_in_the_library_s_loop(name: str) -> None:
    torch.manual_seed(1)
    tokenizer = set_chat_template(byte_tokenizer())
    config = build(name, tokenizer)
    assert config is not None
    model = adapt(random_llama(len(tokenizer)), None if needs_data(config) else config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02 * torch.randn_like(parameter))  # an adapter that starts as nothing would hide
    if may_narrow(model, GenerationConfig()):
        outputs = [written(model, WISHES["sampled"], own, prompts())[0].sequences for own in (False, True)]
        assert torch.equal(*outputs)
    else:
        assert config.is_prompt_learning or name in ("alora", "poly")


def test_what_remembers_rows_keeps_the_library_s_loop() -> None:
    model = random_llama(VOCABULARY)
    assert may_narrow(model, GenerationConfig())
    for wish in (
        {"num_beams": 2},
        {"stop_strings": ["a"]},
        {"cache_implementation": "static"},
        {"guidance_scale": 2.0},
    ):
        assert not may_narrow(model, GenerationConfig(**wish)), wish
    prompt = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    assert not may_narrow(get_peft_model(model, prompt), GenerationConfig())
    invoked = LoraConfig(task_type="CAUSAL_LM", alora_invocation_tokens=[1])
    assert not may_narrow(get_peft_model(random_llama(VOCABULARY), invoked), GenerationConfig())
