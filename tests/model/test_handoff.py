"""A hand-off passes when the reloaded model is the trained one, and names what differs when it is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, PromptTuningConfig
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerBase

from llmcycle.model import adapt, digest, hand_off, handoff, load, token_logits

LORA = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4, lora_alpha=16, init_lora_weights=False)


@pytest.fixture
def lora(base: Path) -> PeftModel:
    """An adapter that is not the identity: its B matrices are random too."""
    return adapt(load(base), LORA)


def test_full_is_bit_equal(
    base: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    model = load(base)
    reloaded, facts = hand_off(model, chat_tokenizer, tmp_path / "out", probe)
    assert facts["max_difference"] == 0
    assert facts["greedy_tokens_equal"]
    assert not facts["merged"]
    assert digest(reloaded) == digest(model)


def test_lora_is_merged(
    lora: PeftModel, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    with torch.no_grad():
        trained = token_logits(lora.eval(), probe["input_ids"], probe["attention_mask"])
    reloaded, facts = hand_off(lora, chat_tokenizer, tmp_path / "out", probe)
    assert not isinstance(reloaded, PeftModel)
    assert facts["merged"]
    assert 0 <= facts["max_difference"] <= 2e-5 * facts["max_logit"]
    with torch.no_grad():
        found = token_logits(reloaded, probe["input_ids"], probe["attention_mask"])
    assert torch.allclose(found, trained, atol=2e-5 * facts["max_logit"])
    assert not list((tmp_path / "out").glob("adapter*"))
    assert not list((tmp_path / "out").glob("*.bin"))


def test_prompt_tuning_is_handed_on_as_an_adapter(
    base: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    model = adapt(load(base), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    reloaded, facts = hand_off(model, chat_tokenizer, tmp_path / "out", probe)
    assert isinstance(reloaded, PeftModel)
    assert (facts["merged"], facts["max_difference"]) == (False, 0)
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_a_merge_in_16_bits_is_kept_in_fp32(
    base: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    lora = adapt(load(base, torch.bfloat16), LORA)
    reloaded, facts = hand_off(lora, chat_tokenizer, tmp_path / "out", probe)
    assert facts["merged"]
    assert reloaded.dtype == torch.float32


def test_generation_stops_at_the_end_of_an_answer(
    lora: PeftModel, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    hand_off(lora, chat_tokenizer, tmp_path / "out", probe)
    stops = GenerationConfig.from_pretrained(tmp_path / "out")
    ids = chat_tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|end|>"])
    assert set(ids) <= set(stops.eos_token_id)
    assert stops.pad_token_id == chat_tokenizer.pad_token_id


def test_logits_that_are_not_finite_are_refused(
    lora: PeftModel, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    lora.get_base_model().lm_head.weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        hand_off(lora, chat_tokenizer, tmp_path / "out", probe)
    assert not (tmp_path / "out").exists()


# Faults: each changes what a correct `save` has written, as a defect in merging or saving would.


def edit_weights(out: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    weights = load_file(out / "model.safetensors")
    change(weights)
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})


def edit_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def not_merged(out: Path, base: Path) -> None:
    (out / "model.safetensors").write_bytes((base / "model.safetensors").read_bytes())


def wrong_scaling(out: Path, base: Path) -> None:
    """The adapter of one layer merged with twice its scale."""
    name = "model.layers.1.mlp.up_proj.weight"
    before = load_file(base / "model.safetensors")[name]
    edit_weights(out, lambda weights: weights.update({name: before + 2 * (weights[name] - before)}))


def head_lost(out: Path, base: Path) -> None:
    edit_weights(out, lambda weights: weights.__delitem__("lm_head.weight"))


def head_tied(out: Path, base: Path) -> None:
    edit_json(out / "config.json", tie_word_embeddings=True)
    head_lost(out, base)


def cast(out: Path, base: Path) -> None:
    edit_weights(out, lambda weights: weights.update({name: w.bfloat16() for name, w in weights.items()}))
    edit_json(out / "config.json", dtype="bfloat16")


def one_weight(out: Path, base: Path) -> None:
    edit_weights(out, lambda weights: weights["model.norm.weight"].__setitem__(0, 3.0))


def other_template(out: Path, base: Path) -> None:
    path = out / "chat_template.jinja"
    path.write_text(path.read_text().replace("<|end|>", "<|end|>\n"))


def no_template(out: Path, base: Path) -> None:
    (out / "chat_template.jinja").unlink()


def other_special_token(out: Path, base: Path) -> None:
    edit_json(out / "tokenizer_config.json", eos_token="<|end|>")


def no_end_token(out: Path, base: Path) -> None:
    edit_json(out / "generation_config.json", eos_token_id=1)


FAULTS = {
    not_merged: r"first layer that differs is model\.layers\.0\.self_attn\.q_proj",
    wrong_scaling: r"first layer that differs is model\.layers\.1\.mlp\.up_proj",
    head_lost: r"lacks weights .*lm_head",
    head_tied: r"first layer that differs is lm_head",
    cast: r"first layer that differs is model\.embed_tokens",
    one_weight: r"first layer that differs is model\.norm",
    other_template: r"chat template",
    no_template: r"chat template",
    other_special_token: r"special tokens",
    no_end_token: r"does not stop at the end token <\|end\|>",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_faults_are_caught(
    fault: Callable[[Path, Path], None],
    lora: PeftModel,
    base: Path,
    chat_tokenizer: PreTrainedTokenizerBase,
    probe: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def faulty(model: PeftModel, tokenizer: PreTrainedTokenizerBase, out: Path) -> bool:
        merged = correct(model, tokenizer, out)
        fault(out, base)
        return merged

    correct = handoff.save
    monkeypatch.setattr(handoff, "save", faulty)
    with pytest.raises(ValueError, match=FAULTS[fault]):
        hand_off(lora, chat_tokenizer, tmp_path / "out", probe)


@pytest.fixture
def tied(base: Path, tmp_path: Path) -> Path:
    """A folder with a base model whose head is its embedding."""
    model = load(base)
    model.config.tie_word_embeddings = True
    model.tie_weights()
    model.save_pretrained(tmp_path / "tied")
    return tmp_path / "tied"


@pytest.mark.parametrize("saved", [None, ["lm_head"]], ids=["kept", "untied by training the head alone"])
def test_tied_embeddings_are_handed_on(
    saved: list[str] | None,
    tied: Path,
    chat_tokenizer: PreTrainedTokenizerBase,
    probe: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    lora = LoraConfig(target_modules=r".*_proj", init_lora_weights=False, modules_to_save=saved)
    model = adapt(load(tied), lora)
    if saved:
        model.get_base_model().lm_head.modules_to_save.default.weight.data += 0.1
    reloaded, facts = hand_off(model, chat_tokenizer, tmp_path / "out", probe)
    assert facts["merged"]
    same = torch.equal(reloaded.get_input_embeddings().weight, reloaded.get_output_embeddings().weight)
    assert same == (saved is None)


def test_a_tie_lost_in_the_configuration_is_caught(
    tied: Path,
    chat_tokenizer: PreTrainedTokenizerBase,
    probe: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def untied(model: PeftModel, tokenizer: PreTrainedTokenizerBase, out: Path) -> bool:
        merged = correct(model, tokenizer, out)
        edit_json(out / "config.json", tie_word_embeddings=False)
        return merged

    correct = handoff.save
    monkeypatch.setattr(handoff, "save", untied)
    with pytest.raises(ValueError, match=r"lacks weights .*lm_head"):
        hand_off(load(tied), chat_tokenizer, tmp_path / "out", probe)


def test_an_adapter_inside_a_tied_embedding_is_caught(
    tied: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    """It was trained on the embedding only; merged into the shared weight it would change the head too."""
    model = adapt(load(tied), LoraConfig(target_modules=["embed_tokens"], init_lora_weights=False))
    with pytest.raises(ValueError, match="first layer that differs is lm_head"):
        hand_off(model, chat_tokenizer, tmp_path / "out", probe)
