"""Defects in merging and saving, injected one by one: each is refused, and the reason names what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from faulty import (
    FIRST,
    Model,
    Weights,
    base_changed,
    base_gone,
    biased,
    bos_added,
    cast,
    config,
    cut_embedding,
    edit,
    edit_json,
    experts,
    generation,
    half_of_one_adapter_of_two,
    head_tied,
    idle_expert,
    lora,
    lora_with_head,
    lost,
    merged_in_16_bits,
    merged_twice,
    no_longer_special,
    not_merged,
    of_the_base,
    one_adapter_of_two,
    one_layer_left_out,
    other_base_recorded,
    other_digest_recorded,
    other_template,
    permuted,
    prompt_tuning,
    sliding,
    special,
    stale_head,
    swap,
    tied,
    token_lost,
    tokenizer,
    truncated,
    two_loras,
    unseen_embedding_moved,
    weights,
    wrong_alpha,
    zero,
)
from transformers import PreTrainedTokenizerFast

from llmcycle.handoff import Safetensors, hand_on, merge

UP = "model.layers.{}.mlp.up_proj.weight"
PROMPT = "prompt_embeddings"
ADAPTER = "adapter_model.safetensors"
ROPE = {"rope_theta": 10000.0, "rope_type": "default"}
LONGER = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
MERGING = {
    "wrong alpha": (lora, wrong_alpha, FIRST),
    "adapter not merged": (lora, not_merged, FIRST),
    "adapter merged twice": (lora, merged_twice, FIRST),
    "one layer's adapter left out": (
        lora,
        one_layer_left_out,
        r"first layer that differs is model\.layers\.1\.self_attn",
    ),
    "merged in 16 bits": (lora, merged_in_16_bits, r"first layer that differs is model\.embed_tokens"),
    "one adapter of two": (two_loras, one_adapter_of_two, FIRST),
    "one adapter of two at half its scale": (two_loras, half_of_one_adapter_of_two, FIRST),
    "head trained beside the adapter stale": (lora_with_head, stale_head, "first layer that differs is lm_head"),
    "embedding of an unseen token moved": (lora, unseen_embedding_moved, "embedding of tokens beyond these rows"),
}
SAVING = {
    # weights
    "weights of the base": (lora, of_the_base, FIRST),
    "head lost": (lora, weights(lambda w: w.pop("lm_head.weight")), r"lacks weights .*lm_head"),
    "head tied": (lora, head_tied, "config.json says tie_word_embeddings=True"),
    "tie lost": (tied, config(tie_word_embeddings=False), r"lacks weights .*lm_head"),
    "head that is the embedding's old copy": (
        tied,
        lambda out, base: (
            edit_json(out / "config.json", tie_word_embeddings=False),
            edit(out, lambda w: w.update({"lm_head.weight": w["model.embed_tokens.weight"] * 0.9})),
        ),
        "config.json says tie_word_embeddings=False",
    ),
    "saved in bf16": (lora, cast("bfloat16"), r"weight was torch\.float32 .* and is torch\.bfloat16"),
    "saved in fp16": (lora, cast("float16"), r"weight was torch\.float32 .* and is torch\.float16"),
    "a norm's weight": (
        lora,
        weights(lambda w: w["model.norm.weight"].__setitem__(0, 3.0)),
        r"first layer that differs is model\.norm:",
    ),
    "two layers swapped": (
        lora,
        weights(lambda w: swap(w, UP.format(0), UP.format(1))),
        r"differs is model\.layers\.0\.mlp\.up_proj:",
    ),
    "bias dropped": (biased, weights(lambda w: w.pop("model.layers.1.self_attn.q_proj.bias")), "lacks weights .*bias"),
    "bias zeroed": (biased, weights(lambda w: zero(w, "q_proj.bias")), FIRST),
    "idle expert": (experts, weights(idle_expert), r"experts.* holds other numbers when opened again"),
    "embedding of an unseen token": (
        lora,
        weights(lambda w: w["model.embed_tokens.weight"][250].zero_()),
        "embedding of tokens beyond these rows",
    ),
    "embedding cut": (lora, cut_embedding, "config.json says vocab_size=256"),
    "file truncated": (lora, truncated, "cannot be read"),
    "file lost": (lora, lost("model.safetensors"), "cannot be read"),
    # config.json
    "norm's epsilon": (lora, config(rms_norm_eps=1e-3), "config.json says rms_norm_eps=0.001"),
    "activation": (lora, config(hidden_act="gelu"), "config.json says hidden_act='gelu'"),
    "rope's theta": (lora, config(rope_parameters=ROPE | {"rope_theta": 5e5}), "config.json says rope_parameters="),
    "rope's scaling": (lora, config(rope_parameters=LONGER), "config.json says rope_parameters="),
    "sliding window beyond the probe": (sliding, config(sliding_window=512), "config.json says sliding_window=512"),
    "context beyond the probe": (lora, config(max_position_embeddings=64), "says max_position_embeddings=64"),
    "end token": (lora, config(eos_token_id=7), "config.json says eos_token_id=7"),
    # generation_config.json
    "no end token": (lora, generation(eos_token_id=1), r"does not stop at the end token <\|end\|>"),
    "sampling by default": (lora, generation(do_sample=True, temperature=1.5), "generation_config.json says do_sample"),
    "repetition penalty": (lora, generation(repetition_penalty=1.5), "says repetition_penalty=1.5"),
    "pad token in generation": (lora, generation(pad_token_id=9), "generation_config.json says pad_token_id=9"),
    "generation settings lost": (lora, lost("generation_config.json"), "does not stop at the end token"),
    # tokenizer
    "other template": (lora, other_template, "chat template of the tokenizer"),
    "template lost": (lora, lost("chat_template.jinja"), "chat template of the tokenizer"),
    "other end token": (lora, special(eos_token="<|end|>"), "special tokens of the tokenizer"),
    "other pad token": (lora, special(pad_token="<|end|>"), "special tokens of the tokenizer"),
    "token no longer special": (lora, no_longer_special, "(special|added) tokens of the tokenizer"),
    "BOS added": (lora, bos_added, "encoding of the tokenizer"),
    "lower case": (lora, tokenizer(normalizer={"type": "Lowercase"}), "encoding of the tokenizer"),
    "longest text": (lora, special(model_max_length=16), "longest text of the tokenizer"),
    "vocabulary permuted": (lora, permuted, "vocabulary of the tokenizer"),
    "added token lost": (lora, token_lost, "vocabulary of the tokenizer"),
    "padding side": (lora, special(padding_side="left"), "padding side of the tokenizer"),
    # an adapter on its base
    "virtual token lost": (
        prompt_tuning,
        weights(lambda w: w.update({PROMPT: w[PROMPT][:2]}), ADAPTER),
        "cannot be read",
    ),
    "virtual tokens of another run": (
        prompt_tuning,
        weights(lambda w: w[PROMPT].add_(1), ADAPTER),
        "first layer that differs is model",
    ),
    "adapter's weights lost": (prompt_tuning, lost(ADAPTER), "cannot be read"),
    "base's record lost": (prompt_tuning, lost("base.json"), "adapter without base.json"),
    "base gone": (prompt_tuning, base_gone, "is not there any more"),
    "base changed": (prompt_tuning, base_changed, "trained on other weights"),
    "another base": (prompt_tuning, other_base_recorded, "trained on other weights"),
    "another digest of the base": (prompt_tuning, other_digest_recorded, "trained on other weights"),
}


@dataclass(frozen=True)
class Faulty(Safetensors):
    """Merges or writes with a defect."""

    merging: Callable[[Model], Model] = merge
    writing: Callable[[Path], None] = lambda out: None

    @property
    def merge(self) -> Callable[[Model], Model]:
        return self.merging

    def write(self, model: Model, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
        super().write(model, tokenizer, out)
        self.writing(out)


@pytest.mark.parametrize("name", MERGING)
def test_a_fault_in_merging_is_caught(
    name: str, chat_tokenizer: PreTrainedTokenizerFast, probe: Weights, tmp_path: Path
) -> None:
    make, fault, reason = MERGING[name]
    model = make(len(chat_tokenizer), tmp_path / "base")
    with pytest.raises(ValueError, match=reason):
        hand_on(model, chat_tokenizer, tmp_path / "out", Faulty(merging=lambda m: fault(m, merge)), probe)


@pytest.mark.parametrize("name", SAVING)
def test_a_fault_in_saving_is_caught(
    name: str, chat_tokenizer: PreTrainedTokenizerFast, probe: Weights, tmp_path: Path
) -> None:
    make, fault, reason = SAVING[name]
    model = make(len(chat_tokenizer), tmp_path / "base")
    with pytest.raises(ValueError, match=reason):
        hand_on(
            model, chat_tokenizer, tmp_path / "out", Faulty(writing=lambda out: fault(out, tmp_path / "base")), probe
        )
