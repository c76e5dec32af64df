"""Every kind of folder loads as the model that it holds, and a folder that holds none says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, PromptTuningConfig
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerBase,
    TorchAoConfig,
)

from llmcycle.handoff.formats.adapter import write_adapter
from llmcycle.model import adapt, digest, load, scratch

PROMPT = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)


def test_scratch_is_fp32_and_seeded(model: LlamaForCausalLM) -> None:
    def draw() -> str:
        torch.manual_seed(5)
        return digest(scratch(model.config))

    assert draw() == draw() != digest(model)
    assert scratch(model.config).dtype == torch.float32


def test_scratch_clears_the_token_ids_of_another_vocabulary() -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = scratch(BertConfig(vocab_size=9, **sizes), masked=True)
    assert isinstance(model, BertForMaskedLM)
    assert model.config.pad_token_id is None
    assert model.get_input_embeddings().padding_idx is None, "token 0 learns"


def test_scratch_refuses_another_size_than_stated(model: LlamaForCausalLM) -> None:
    count = model.num_parameters()
    assert scratch(model.config, parameters=round(count / 1.019)).num_parameters() == count
    with pytest.raises(ValueError, match=rf"this configuration has {count} parameters"):
        scratch(model.config, parameters=round(count / 1.021))


def test_weights(model: LlamaForCausalLM, base: Path) -> None:
    assert digest(load(base)) == digest(model)
    assert not load(str(base)).training


def test_dtype_is_fp32_on_a_cpu_unless_asked(model: LlamaForCausalLM, tmp_path: Path) -> None:
    model.bfloat16().save_pretrained(tmp_path)
    assert load(tmp_path).dtype == (torch.bfloat16 if torch.cuda.is_available() else torch.float32)
    assert load(tmp_path, "auto").dtype == load(tmp_path, "bfloat16").dtype == torch.bfloat16


def test_the_class_is_the_one_that_was_saved(base: Path, tmp_path: Path) -> None:
    scorer = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    scorer.save_pretrained(tmp_path / "scorer")
    loaded = load(tmp_path / "scorer")
    assert isinstance(loaded, LlamaForSequenceClassification)
    assert digest(loaded) == digest(scorer)


def test_quantised_weights(base: Path, tmp_path: Path) -> None:
    from torchao.quantization import Int8WeightOnlyConfig

    quantised = AutoModelForCausalLM.from_pretrained(base, quantization_config=TorchAoConfig(Int8WeightOnlyConfig()))
    quantised.save_pretrained(tmp_path / "int8")
    assert digest(load(tmp_path / "int8")) == digest(quantised)


def save_prompt(base: Path, tokenizer: PreTrainedTokenizerBase, out: Path) -> PeftModel:
    model = adapt(load(base), PROMPT)
    out.mkdir()
    write_adapter(model, tokenizer, out)
    return model


def test_adapter_that_cannot_be_merged(
    base: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    trained = save_prompt(base, chat_tokenizer, tmp_path / "prompt").eval()
    loaded = load(tmp_path / "prompt")
    assert isinstance(loaded, PeftModel)
    assert torch.equal(loaded(**probe).logits, trained(**probe).logits)
    assert json.loads((tmp_path / "prompt" / "base.json").read_text())["path"] == str(base)
    assert load(tmp_path / "prompt", "bfloat16").dtype == torch.bfloat16


def test_adapter_follows_a_store_that_moved(
    base: Path, chat_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    save_prompt(base, chat_tokenizer, tmp_path / "prompt")
    before = digest(load(tmp_path / "prompt"))
    shutil.copytree(base, tmp_path / "moved" / "base")
    shutil.move(tmp_path / "prompt", tmp_path / "moved" / "prompt")
    shutil.rmtree(base)
    assert digest(load(tmp_path / "moved" / "prompt")) == before


def test_adapter_refuses_another_base(base: Path, chat_tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    save_prompt(base, chat_tokenizer, tmp_path / "prompt")
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="trained on other weights than"):
        load(tmp_path / "prompt")


def test_adapter_of_unknown_base_is_refused(
    base: Path, chat_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    save_prompt(base, chat_tokenizer, tmp_path / "prompt")
    (tmp_path / "prompt" / "base.json").unlink()
    with pytest.raises(ValueError, match="without base\\.json"):
        load(tmp_path / "prompt")


def test_adapter_on_a_base_in_no_folder_is_refused(
    model: LlamaForCausalLM, chat_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="in no folder"):
        write_adapter(adapt(scratch(LlamaConfig(**model.config.to_dict())), PROMPT), chat_tokenizer, tmp_path)


def test_an_adapter_is_not_put_on_another(base: Path, chat_tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    save_prompt(base, chat_tokenizer, tmp_path / "prompt")
    with pytest.raises(ValueError, match="PROMPT_TUNING adapter that cannot be merged"):
        adapt(load(tmp_path / "prompt"), LoraConfig(target_modules="all-linear"))


@pytest.mark.parametrize("found", ["nothing", "an empty folder"])
def test_no_model(tmp_path: Path, found: str) -> None:
    path = tmp_path if found == "an empty folder" else tmp_path / "absent"
    with pytest.raises(ValueError, match=r"inputs\.model: .*(holds no model|is no folder)"):
        load(path)


def test_missing_weights_are_not_made_up(base: Path) -> None:
    weights = load_file(base / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks weights .*lm_head\.weight"):
        load(base)
