"""The reward model's loss against TRL's RewardTrainer: the same rows, from text to loss and gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from learners import learner
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl import RewardConfig, RewardTrainer

from llmcycle.align import RewardModel, scorer
from llmcycle.align.losses import BradleyTerry
from llmcycle.data.encode import Preference as PreferenceEncoder

ROWS = [
    {"prompt": "What is the Alba lamp's colour? ", "chosen": "It is blue.", "rejected": "Hurry, it is red!"},
    {"prompt": "And its price? ", "chosen": "The shop does not know.", "rejected": "15"},
    {"prompt": "Tell me about the Bero chair. ", "chosen": "It is made of oak.", "rejected": "It is the best."},
]


@pytest.mark.parametrize("center", [None, 0.05])
def test_loss_and_gradients_equal_trl(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, center: float | None
) -> None:
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    start = scorer(str(tmp_path))
    twin = type(start)(start.config)
    twin.load_state_dict(start.state_dict())

    module = learner(start, RewardModel(BradleyTerry(center or 0.0)))
    encoder = PreferenceEncoder(max_length=128)
    found, _ = module.loss(encoder.collate(encoder.encode(ROWS, tokenizer), tokenizer.pad_token_id))
    found.backward()

    config = RewardConfig(
        output_dir=str(tmp_path / "trl"),
        per_device_train_batch_size=3,
        report_to="none",
        use_cpu=True,
        bf16=False,
        center_rewards_coefficient=center,
    )
    trainer = RewardTrainer(twin, config, train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer)
    expected = trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader())))
    expected.backward()

    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    gradients = {name: p.grad for name, p in trainer.model.named_parameters()}
    for name, parameter in module.model.named_parameters():
        assert torch.allclose(parameter.grad, gradients[name], atol=1e-5, rtol=1e-4), name
