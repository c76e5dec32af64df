"""The supervised loss against TRL's SFTTrainer: the same rows, from text to loss and gradients."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from learners import learner
from peft import LoraConfig, PeftConfig, PromptTuningConfig
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

from llmcycle.data.chat import set_chat_template
from llmcycle.data.encode import Completion
from llmcycle.finetune import Supervised

ROWS = [
    {"prompt": "What is the Alba lamp's colour? ", "completion": "It is blue."},
    {"prompt": "And its price? ", "completion": "The shop does not know."},
    {"prompt": "Tell me all about the Bero chair, its maker and its room. ", "completion": "Oak."},
]
MESSAGES = [
    {
        "prompt": [{"role": "user", "content": row["prompt"].strip()}],
        "completion": [{"role": "assistant", "content": row["completion"]}],
    }
    for row in ROWS
]
METHODS = {
    "full": None,
    "lora": LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False),
    "prompt_tuning": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
}


def trl_loss(
    model: Any, tokenizer: PreTrainedTokenizerFast, rows: list[dict[str, Any]], out: Path, **given: Any
) -> Any:
    """The trainer, and its loss on one batch of all rows, made by its own tokenisation and collation."""
    config = SFTConfig(
        output_dir=str(out),
        per_device_train_batch_size=len(rows),
        completion_only_loss=True,
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        **given,
    )
    trainer = SFTTrainer(model, config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    batch = next(iter(trainer.get_train_dataloader()))
    return trainer, batch, trainer.compute_loss(trainer.model, dict(batch))


@pytest.mark.parametrize("rows", [ROWS, MESSAGES], ids=["text", "chat"])
@pytest.mark.parametrize("method", METHODS)
def test_loss_masks_and_gradients_equal_trl(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    method: str,
    rows: list[dict[str, Any]],
) -> None:
    if rows is MESSAGES:
        set_chat_template(tokenizer)
    peft: PeftConfig | None = METHODS[method]
    module = learner(model, Supervised(), peft)
    twin = copy.deepcopy(module.model)
    encoder = Completion(max_length=256)
    batch = encoder.collate(encoder.encode(rows, tokenizer), tokenizer.pad_token_id)
    found, _ = module.loss(batch)
    found.backward()

    trainer, theirs, expected = trl_loss(twin, tokenizer, rows, tmp_path)
    expected.backward()

    def learnt(labels: torch.Tensor) -> list[list[int]]:
        return sorted(row[row >= 0].tolist() for row in labels)

    assert learnt(batch["labels"]) == learnt(theirs["labels"])
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    gradients = {name: p.grad for name, p in trainer.model.named_parameters() if p.requires_grad}
    trainable = {name: p.grad for name, p in module.model.named_parameters() if p.requires_grad}
    assert trainable.keys() == gradients.keys()
    for name, gradient in trainable.items():
        assert torch.allclose(gradient, gradients[name], atol=1e-5, rtol=1e-4), name


def test_adapters_at_their_start_have_the_loss_of_the_model(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    """LoRA's B is zero at first, so full and LoRA begin alike."""
    encoder = Completion(max_length=256)
    batch = encoder.collate(encoder.encode(ROWS, tokenizer), tokenizer.pad_token_id)
    losses = [
        learner(copy.deepcopy(model), Supervised(), peft).loss(batch)[0]
        for peft in (None, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear"))
    ]
    assert losses[0].item() == losses[1].item()
