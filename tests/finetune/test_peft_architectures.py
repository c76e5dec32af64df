"""Every option of `peft` on four more architectures: trained and merged into the same model, or refused; and whether
what its file says of it is so."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import torch
from conftest import byte_tokenizer
from options import OPTIONS, build, option
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    MixtralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3Config,
)

from llmcycle.abilities import CAUSAL
from llmcycle.config.facts import facts
from llmcycle.data.chat import set_chat_template
from llmcycle.model import adapt, mergeable, moves_base, needs_data, token_logits
from llmcycle.model.trial import misfit

VOCABULARY = len(byte_tokenizer())
SIZE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "initializer_range": 0.3,
}
CONFIGS: dict[str, PreTrainedConfig] = {
    "gpt2": GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=2, n_positions=64, initializer_range=0.3),
    "qwen3": Qwen3Config(**SIZE, tie_word_embeddings=True),
    "gemma3": Gemma3TextConfig(**SIZE, query_pre_attn_scalar=32, sliding_window=8),
    "mixtral": MixtralConfig(**SIZE, num_local_experts=2, num_experts_per_tok=1),
}
# What peft 0.21 can't put on them. GPT-2's layers are Conv1D, Mixtral's experts are stacks of matrices.
BIASLESS = ["adaption_prompt", "beft"]
REFUSED = {
    "gpt2": [
        *(
            "bat",
            "bdlora",
            "beft",
            "boft",
            "c3a",
            "coft",
            "delora",
            "glora",
            "hra",
            "kasa",
            "lily",
            "loha",
            "lokr",
            "miss",
            "oft",
        ),
        *("olora", "osf", "peanut", "poly", "psoft", "road", "shira", "supertuning"),
    ],
    "qwen3": BIASLESS,
    "gemma3": BIASLESS,
    "mixtral": [
        *(*BIASLESS, "alora", "bdlora", "dora", "eva", "kasa", "ln_tuning", "mica", "olora", "orthogonal", "pissa"),
        "velora",
    ],
}
IDS = torch.randint(5, VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(0))
IDS[:, 4] = 3  # what Activated LoRA waits for
BATCH = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS), "labels": IDS}


@cache
def base(architecture: str) -> PreTrainedModel:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(CONFIGS[architecture], dtype=torch.float32).eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return token_logits(model.eval(), BATCH["input_ids"], BATCH["attention_mask"])


def same_without_adapter(adapted: Any, architecture: str) -> bool:
    with adapted.disable_adapter():
        return torch.allclose(logits(adapted), logits(base(architecture)), atol=1e-4)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "none"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_option_is_trained_and_merged_or_refused(architecture: str, name: str) -> None:
    peft = build(name, set_chat_template(byte_tokenizer()))
    model = copy.deepcopy(base(architecture))
    if name in REFUSED[architecture]:
        with pytest.raises(ValueError, match=rf"peft: \w+ does not work on this {model.config.model_type} model: ."):
            adapt(model, peft, lambda: [BATCH])
        return
    adapted = adapt(model, peft, lambda: [BATCH])
    stated = facts(option(name)[0])
    assert stated.moves_base == moves_base(adapted) == (not same_without_adapter(adapted, architecture))
    assert stated.needs_data == needs_data(peft)
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-2)
    adapted(**BATCH).loss.backward()
    optimizer.step()
    trained = logits(adapted)
    assert not torch.allclose(trained, logits(base(architecture)), atol=1e-5)
    if stated.merges:
        assert mergeable(adapted)
        merged = logits(adapted.merge_and_unload(safe_merge=True))
        assert (merged - trained).abs().max() <= 2e-5 * trained.abs().max()
    else:
        with pytest.raises((NotImplementedError, AttributeError)):
            adapted.merge_and_unload(safe_merge=True)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_trial_without_weights_says_the_same(architecture: str) -> None:
    known = [name for name in OPTIONS if name not in ("none", *(["eva"] if architecture == "mixtral" else []))]
    methods = {name: build(name, set_chat_template(byte_tokenizer())) for name in known}
    refused = {name for name, peft in methods.items() if peft and misfit(CONFIGS[architecture], CAUSAL, peft)}
    assert refused == set(REFUSED[architecture]) & set(known)  # of EVA on Mixtral only the data tell
