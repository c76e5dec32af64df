"""An adapter kept beside its base: the same answers in every use, also when it is merged later, at a fraction of the
bytes; a base that was moved is found, one that changed or is gone is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import random_llama
from peft import IA3Config, LoraConfig, PeftConfig, PeftModel, PromptTuningConfig
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerBase

from llmcycle.deploy import deploy
from llmcycle.engine import TransformersEngine, texts
from llmcycle.evaluate.evaluator import evaluate
from llmcycle.evaluate.loss import HeldOutLoss
from llmcycle.finetune import merge
from llmcycle.handoff import Adapter, Safetensors, hand_on
from llmcycle.handoff.observe import Model
from llmcycle.model import adapt, digest, load

PROMPTS = ["Hello", "What is blue?", [{"role": "user", "content": "Hi"}]]
METHODS: dict[str, PeftConfig] = {
    "lora": LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4),
    "tokens": LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", trainable_token_indices=[1, 3]),
    "ia3": IA3Config(task_type="CAUSAL_LM", target_modules=["q_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "prompt_tuning": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
}


@pytest.fixture
def store(tmp_path: Path, chat_tokenizer: PreTrainedTokenizerBase) -> Path:
    """A folder of artifacts, with a base that is one of them."""
    folder = tmp_path / "artifacts" / "base-0123456789ab"
    random_llama(len(chat_tokenizer), hidden_size=64, intermediate_size=128).save_pretrained(folder)
    chat_tokenizer.save_pretrained(folder)
    (folder / "artifact.json").write_text(json.dumps({"id": "0123456789ab"}))
    return folder.parent


def trained(store: Path, method: str) -> PeftModel:
    """An adapter that changes what the model says."""
    torch.manual_seed(0)
    model = adapt(load(next(store.glob("base-*"))), METHODS[method])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter) * parameter.requires_grad
    return model.eval()


@pytest.fixture
def kept(
    request: pytest.FixtureRequest, store: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor]
) -> Path:
    """A folder with an adapter of the method that a test names, or a LoRA."""
    model = trained(store, getattr(request, "param", "lora"))
    handed = hand_on(model, chat_tokenizer, store / "tuned", Adapter(), probe)
    assert (handed.merged, handed.difference.max_difference) == (False, 0)
    return store / "tuned"


def answers(model: Model, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    return texts(TransformersEngine(model, tokenizer), PROMPTS, None)


@pytest.mark.parametrize(("method", "kept"), [(name, name) for name in METHODS], indirect=["kept"])
def test_answers_are_the_same_in_every_use(
    method: str, kept: Path, store: Path, chat_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    model, rows = trained(store, method), SimpleNamespace(train=[], validation=[{"prompt": p} for p in PROMPTS])
    expected = answers(model, chat_tokenizer)
    assert expected != answers(load(store / "base-0123456789ab"), chat_tokenizer)
    again = load(kept)
    assert answers(again, AutoTokenizer.from_pretrained(kept)) == expected
    losses = {"loss": HeldOutLoss(SimpleNamespace(train=[], validation=[{"text": "red and blue"}]), 32)}
    scored = [evaluate(losses, TransformersEngine(m, chat_tokenizer))["held_out_loss"].values for m in (model, again)]
    assert scored[0] == scored[1]
    (tmp_path / "served").mkdir()
    metrics = deploy(str(kept), rows, [], out=tmp_path / "served", logger=None)
    assert metrics["http_agreement"].value == 1
    merged = merge(str(kept), PROMPTS, out=tmp_path / "merged", logger=None)
    assert merged["merged"].value == (method != "prompt_tuning")
    assert answers(load(tmp_path / "merged"), chat_tokenizer) == expected


@pytest.mark.parametrize("method", ["lora", "ia3"])
def test_merged_later_is_merged_at_once(
    method: str, store: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    hand_on(trained(store, method), chat_tokenizer, store / "tuned", Adapter(), probe)
    hand_on(trained(store, method), chat_tokenizer, tmp_path / "once", Safetensors(), probe)
    merge(str(store / "tuned"), PROMPTS, out=tmp_path / "later", logger=None)
    assert digest(load(tmp_path / "later")) == digest(load(tmp_path / "once"))


def test_what_is_written(kept: Path, store: Path) -> None:
    files = {path.name for path in kept.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "base.json", "generation_config.json"} < files
    assert {"tokenizer.json", "chat_template.jinja", "config.json"} < files
    base = store / "base-0123456789ab"
    assert json.loads((kept / "base.json").read_text()) == {
        "path": str(base),
        "dtype": "float32",
        "digest": digest(load(base)),
        "id": "0123456789ab",
    }
    assert (kept / "adapter_model.safetensors").stat().st_size < (base / "model.safetensors").stat().st_size / 5


def test_a_base_that_was_moved_is_found_by_name_or_by_id(kept: Path, store: Path, tmp_path: Path) -> None:
    before = digest(load(kept))
    moved = store.rename(tmp_path / "elsewhere")
    assert digest(load(moved / "tuned")) == before
    (moved / "base-0123456789ab").rename(moved / "renamed-0123456789ab")
    assert digest(load(moved / "tuned")) == before


def test_a_base_that_is_gone_or_changed_is_refused_in_words(kept: Path, store: Path, tmp_path: Path) -> None:
    base = store / "base-0123456789ab"
    base.rename(tmp_path / "hidden")
    with pytest.raises(ValueError, match=r"tuned was in .*base-0123456789ab \(artifact 0123456789ab\) .*not there any"):
        load(kept)
    random_llama(261, seed=1, hidden_size=64, intermediate_size=128).save_pretrained(base)
    with pytest.raises(ValueError, match=r"tuned was trained on other weights than .*base-0123456789ab now holds"):
        load(kept)
    shutil.rmtree(base)
    (tmp_path / "hidden").rename(base)
    assert isinstance(load(kept), PeftModel)


def test_what_the_format_can_not_hold_is_refused(
    store: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    base = load(next(store.glob("base-*")))
    with pytest.raises(ValueError, match=r"handoff=adapter: all of the model was trained; set handoff=safetensors"):
        hand_on(base, chat_tokenizer, tmp_path / "out", Adapter(), probe)
    pissa = adapt(base, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", init_lora_weights="pissa"))
    with pytest.raises(ValueError, match=r"taken its start out of the base's weights"):
        hand_on(pissa, chat_tokenizer, tmp_path / "out", Adapter(), probe)
    assert not (tmp_path / "out").exists()


def test_a_reward_model_is_kept_with_its_new_head(
    store: Path, chat_tokenizer: PreTrainedTokenizerBase, probe: dict[str, Tensor], tmp_path: Path
) -> None:
    base = next(store.glob("base-*"))
    torch.manual_seed(1)
    scorer = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, pad_token_id=0)
    model = adapt(scorer, LoraConfig(task_type="SEQ_CLS", target_modules="all-linear", r=4, init_lora_weights=False))
    with torch.no_grad():
        expected = model.eval()(**probe).logits
    handed = hand_on(model, chat_tokenizer, tmp_path / "out", Adapter(), probe)
    assert torch.equal(handed.model(**probe).logits, expected)
    assert type(handed.model.get_base_model()) is type(scorer)
