"""A hand-off passes when the handed.model model is the trained one. What it must not pass: test_handoff_faults.py"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, PromptTuningConfig
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import GenerationConfig, PreTrainedTokenizerBase

from llmcycle.handoff import Safetensors, hand_on
from llmcycle.handoff.formats.safetensors import sort_metadata
from llmcycle.model import adapt, digest, load, token_logits

LORA = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4, lora_alpha=16, init_lora_weights=False)


@pytest.fixture
def lora(base: Path) -> PeftModel:
    """An adapter that is not the identity: its B matrices are random too."""
    return adapt(load(base), LORA)


def test_full_is_bit_equal(
    base: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    model = load(base)
    handed = hand_on(model, chat_tokenizer, tmp_path / "out", Safetensors(), probe)
    assert handed.difference.max_difference == 0
    assert not handed.merged
    assert digest(handed.model) == digest(model)


def test_lora_is_merged(
    lora: PeftModel, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    with torch.no_grad():
        trained = token_logits(lora.eval(), probe["input_ids"], probe["attention_mask"])
    handed = hand_on(lora, chat_tokenizer, tmp_path / "out", Safetensors(), probe)
    assert not isinstance(handed.model, PeftModel)
    assert handed.merged
    assert 0 <= handed.difference.max_difference <= 2e-5 * handed.difference.max_logit
    with torch.no_grad():
        found = token_logits(handed.model, probe["input_ids"], probe["attention_mask"])
    assert torch.allclose(found, trained, atol=2e-5 * handed.difference.max_logit)
    assert not list((tmp_path / "out").glob("adapter*"))
    assert not list((tmp_path / "out").glob("*.bin"))


def test_prompt_tuning_is_handed_on_as_an_adapter(
    base: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    model = adapt(load(base), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    handed = hand_on(model, chat_tokenizer, tmp_path / "out", Safetensors(), probe)
    assert isinstance(handed.model, PeftModel)
    assert (handed.merged, handed.difference.max_difference) == (False, 0)
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_generation_stops_at_the_end_of_an_answer(
    lora: PeftModel, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    hand_on(lora, chat_tokenizer, tmp_path / "out", Safetensors(), probe)
    stops = GenerationConfig.from_pretrained(tmp_path / "out")
    ids = chat_tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|end|>"])
    assert set(ids) <= set(stops.eos_token_id)
    assert stops.pad_token_id == chat_tokenizer.pad_token_id


def test_logits_that_are_not_finite_are_refused(
    lora: PeftModel, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    lora.get_base_model().lm_head.weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        hand_on(lora, chat_tokenizer, tmp_path / "out", Safetensors(), probe)
    assert not (tmp_path / "out").exists()


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
    handed = hand_on(model, chat_tokenizer, tmp_path / "out", Safetensors(), probe)
    assert handed.merged
    same = torch.equal(handed.model.get_input_embeddings().weight, handed.model.get_output_embeddings().weight)
    assert same == (saved is None)


def test_an_adapter_inside_a_tied_embedding_is_caught(
    tied: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    """It was trained on the embedding only; merged into the shared weight it would change the head too."""
    model = adapt(load(tied), LoraConfig(target_modules=["embed_tokens"], init_lora_weights=False))
    with pytest.raises(ValueError, match="first layer that differs is lm_head"):
        hand_on(model, chat_tokenizer, tmp_path / "out", Safetensors(), probe)


def test_a_file_is_the_same_however_its_writer_hashed(tmp_path: Path) -> None:
    texts = {f"name {i}": f"{i} é \u2028" for i in range(50)}
    for name, metadata in (("a", texts), ("b", dict(reversed(texts.items())))):
        save_file({"w": torch.arange(5.0), "v": torch.ones(3)}, tmp_path / f"{name}.safetensors", metadata=metadata)
        sort_metadata(tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata() == texts
        assert torch.equal(file.get_tensor("w"), torch.arange(5.0))
