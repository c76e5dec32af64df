"""Models to hand on, and defects in merging and saving to inject."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from conftest import random_llama
from peft import LoraConfig, PeftModel, PromptTuningConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    Gemma3TextConfig,
    MixtralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3Config,
)

from llmcycle.model import adapt, load, scratch

LORA: dict[str, Any] = {"task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 16, "init_lora_weights": False}
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
Model = PreTrainedModel | PeftModel
Merge = Callable[[Model], Model]
Weights = dict[str, Tensor]
FIRST = r"first layer that differs is model\.layers\.0\.self_attn\.q_proj:"


def plain(cls: type[PreTrainedConfig], vocab: int, folder: Path, **options: Any) -> PreTrainedModel:
    """A random model of any architecture, handed on as it is; biases and norms are random too."""
    torch.manual_seed(0)
    model = scratch(cls(vocab_size=vocab, num_key_value_heads=2, initializer_range=0.3, **SMALL, **options)).eval()
    for name, p in model.named_parameters():
        p.data += 0.3 * torch.randn(p.shape) * ("norm" in name or "bias" in name)
    model.save_pretrained(folder)
    return load(folder)


def llama(vocab: int, folder: Path) -> PreTrainedModel:
    random_llama(vocab).save_pretrained(folder)
    return load(folder)


def lora(vocab: int, folder: Path) -> Model:
    return adapt(llama(vocab, folder), LoraConfig(**LORA, target_modules="all-linear"))


def two_loras(vocab: int, folder: Path) -> Model:
    model = lora(vocab, folder)
    model.add_adapter("other", LoraConfig(**LORA, target_modules="all-linear"))
    model.base_model.set_adapter(["default", "other"])
    return model


def lora_with_head(vocab: int, folder: Path) -> Model:
    model = adapt(llama(vocab, folder), LoraConfig(**LORA, target_modules=r".*_proj", modules_to_save=["lm_head"]))
    model.get_base_model().lm_head.modules_to_save.default.weight.data += 0.1
    return model


def prompt_tuning(vocab: int, folder: Path) -> Model:
    return adapt(llama(vocab, folder), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))


def tied(vocab: int, folder: Path) -> Model:
    return plain(Qwen3Config, vocab, folder, head_dim=16, tie_word_embeddings=True)


def biased(vocab: int, folder: Path) -> Model:
    return plain(Qwen3Config, vocab, folder, head_dim=16, attention_bias=True)


def sliding(vocab: int, folder: Path) -> Model:
    return plain(Gemma3TextConfig, vocab, folder, head_dim=16, sliding_window=64)


def experts(vocab: int, folder: Path) -> Model:
    model = plain(MixtralConfig, vocab, folder, num_local_experts=16, num_experts_per_tok=1)
    for layer in model.model.layers:
        layer.mlp.gate.weight.data[13] = 0  # a score of 0 is never the highest of 16
    model.save_pretrained(folder)
    return model


# In merging. Each takes the correct merge's place.


def wrong_alpha(model: Model, merge: Merge) -> Model:
    for layer in adapted(model):
        layer.scaling["default"] *= 2
    return merge(model)


def not_merged(model: Model, merge: Merge) -> Model:
    return model.unload()


def merged_twice(model: Model, merge: Merge) -> Model:
    for layer in adapted(model):
        layer.base_layer.weight.data += layer.get_delta_weight("default")
    return merge(model)


def one_layer_left_out(model: Model, merge: Merge) -> Model:
    adapted(model)[9].lora_B["default"].weight.data.zero_()
    return merge(model)


def merged_in_16_bits(model: Model, merge: Merge) -> Model:
    return merge(model.bfloat16()).float()


def one_adapter_of_two(model: Model, merge: Merge) -> Model:
    model.base_model.set_adapter(["default"])
    return merge(model)


def half_of_one_adapter_of_two(model: Model, merge: Merge) -> Model:
    for layer in adapted(model):
        layer.scaling["other"] /= 2
    return merge(model)


def stale_head(model: Model, merge: Merge) -> Model:
    before = model.get_base_model().lm_head.original_module.weight.data.clone()
    merged = merge(model)
    merged.lm_head.weight.data = before
    return merged


def unseen_embedding_moved(model: Model, merge: Merge) -> Model:
    merged = merge(model)
    merged.model.embed_tokens.weight.data[250] += 1
    return merged


def adapted(model: Model) -> list[Any]:
    return [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]


# In saving. Each changes what was saved correctly into `out`, from a model whose folder is `base`.


def edit(out: Path, change: Callable[[Weights], Any], file: str = "model.safetensors") -> None:
    weights = load_file(out / file)
    change(weights)
    save_file({name: w.contiguous() for name, w in weights.items()}, out / file, metadata={"format": "pt"})


def edit_json(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def config(**values: object) -> Callable[[Path, Path], None]:
    return lambda out, base: edit_json(out / "config.json", **values)


def generation(**values: object) -> Callable[[Path, Path], None]:
    return lambda out, base: edit_json(out / "generation_config.json", **values)


def tokenizer(**values: object) -> Callable[[Path, Path], None]:
    return lambda out, base: edit_json(out / "tokenizer.json", **values)


def special(**values: object) -> Callable[[Path, Path], None]:
    return lambda out, base: edit_json(out / "tokenizer_config.json", **values)


def cast(dtype: str) -> Callable[[Path, Path], None]:
    def fault(out: Path, base: Path) -> None:
        edit(out, lambda weights: weights.update({n: w.to(getattr(torch, dtype)) for n, w in weights.items()}))
        edit_json(out / "config.json", dtype=dtype)

    return fault


def weights(change: Callable[[Weights], Any], file: str = "model.safetensors") -> Callable[[Path, Path], None]:
    return lambda out, base: edit(out, change, file)


def of_the_base(out: Path, base: Path) -> None:
    (out / "model.safetensors").write_bytes((base / "model.safetensors").read_bytes())


def head_tied(out: Path, base: Path) -> None:
    edit_json(out / "config.json", tie_word_embeddings=True)
    edit(out, lambda weights: weights.pop("lm_head.weight"))


def swap(weights: Weights, a: str, b: str) -> None:
    weights[a], weights[b] = weights[b], weights[a]


def zero(weights: Weights, end: str) -> None:
    for name in weights:
        if name.endswith(end):
            weights[name] = torch.zeros_like(weights[name])


def idle_expert(weights: Weights) -> None:
    """One that no token of the probe is routed to."""
    for name in [name for name in weights if "experts.13." in name]:
        weights[name] = torch.zeros_like(weights[name])


def cut_embedding(out: Path, base: Path) -> None:
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        edit(out, lambda weights, name=name: weights.update({name: weights[name][:256]}))
    edit_json(out / "config.json", vocab_size=256)


def truncated(out: Path, base: Path) -> None:
    whole = (out / "model.safetensors").read_bytes()
    (out / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def lost(file: str) -> Callable[[Path, Path], None]:
    return lambda out, base: (out / file).unlink()


def other_template(out: Path, base: Path) -> None:
    path = out / "chat_template.jinja"
    path.write_text(path.read_text().replace("<|end|>", "<|end|>\n"))


def edit_vocabulary(out: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = out / "tokenizer.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def permuted(out: Path, base: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        vocabulary = content["model"]["vocab"]
        vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]

    edit_vocabulary(out, change)


def no_longer_special(out: Path, base: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["added_tokens"][4]["special"] = False

    edit_vocabulary(out, change)
    edit_json(out / "tokenizer_config.json", extra_special_tokens=["<|user|>", "<|assistant|>"])


def token_lost(out: Path, base: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["model"]["vocab"].pop(content["added_tokens"].pop()["content"])

    edit_vocabulary(out, change)
    edit_json(out / "tokenizer_config.json", extra_special_tokens=["<|user|>", "<|assistant|>"])


def bos_added(out: Path, base: Path) -> None:
    token = {"id": "<|endoftext|>", "ids": [1], "tokens": ["<|endoftext|>"]}
    single = [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    processor = {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": {token["id"]: token}}
    edit_json(out / "tokenizer.json", post_processor=processor)


def base_gone(out: Path, base: Path) -> None:
    base.rename(base.with_name("elsewhere"))


def base_changed(out: Path, base: Path) -> None:
    edit(base, lambda weights: weights["model.norm.weight"].add_(1))


def other_base_recorded(out: Path, base: Path) -> None:
    random_llama(261, seed=1).save_pretrained(base.with_name("other"))
    edit_json(out / "base.json", path=str(base.with_name("other")))


def other_digest_recorded(out: Path, base: Path) -> None:
    edit_json(out / "base.json", digest="0" * 64)
