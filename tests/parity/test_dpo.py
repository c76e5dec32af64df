"""DPO and IPO against TRL's DPOTrainer: the same rows, from text to loss and gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from learners import learner
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

from llmcycle.align import Preference
from llmcycle.align.losses import DPO, IPO, PreferenceLoss
from llmcycle.data.encode import Preference as PreferenceEncoder
from llmcycle.train import Learner

ROWS = [
    {"prompt": "What is the Alba lamp's colour? ", "chosen": "It is blue.", "rejected": "Hurry, it is red!"},
    {"prompt": "And its price? ", "chosen": "The shop does not know.", "rejected": "15"},
    {"prompt": "Tell me about the Bero chair. ", "chosen": "It is made of oak.", "rejected": "It is the best."},
]


def perturbed(model: LlamaForCausalLM, seed: int = 1) -> dict[str, torch.Tensor]:
    """Weights near those of `model`: a policy some steps away from its reference."""
    generator = torch.Generator().manual_seed(seed)
    return {k: v + 0.02 * torch.randn(v.shape, generator=generator) for k, v in model.state_dict().items()}


def ours(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, loss: PreferenceLoss) -> Learner:
    """The module with its loss's gradients on it; the starting model is the reference, the policy has moved on."""
    module = learner(model, Preference(loss))
    module.model.load_state_dict(perturbed(model))
    encoder = PreferenceEncoder(max_length=128)
    batch = encoder.collate(encoder.encode(ROWS, tokenizer), tokenizer.pad_token_id)
    module.value, _ = module.loss(batch)
    module.value.backward()
    return module


def theirs(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path, **options: object) -> DPOTrainer:
    policy = type(model)(model.config)
    policy.load_state_dict(perturbed(model))
    config = DPOConfig(
        output_dir=str(out), per_device_train_batch_size=3, report_to="none", use_cpu=True, bf16=False, **options
    )
    trainer = DPOTrainer(policy, model, config, train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer)
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.value = trainer.compute_loss(trainer.model, batch)
    trainer.value.backward()
    return trainer


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        (DPO(beta=0.3), {"beta": 0.3, "loss_type": ["sigmoid"]}),
        (IPO(beta=0.3), {"beta": 0.3, "loss_type": ["ipo"]}),
    ],
    ids=["dpo", "ipo"],
)
def test_loss_and_gradients_equal_trl(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    loss: PreferenceLoss,
    options: dict[str, object],
) -> None:
    reference = type(model)(model.config)
    reference.load_state_dict(model.state_dict())
    expected = theirs(reference, tokenizer, tmp_path, **options)
    found = ours(model, tokenizer, loss)
    assert found.value.item() == pytest.approx(expected.value.item(), abs=1e-5)
    gradients = {name: p.grad for name, p in expected.model.named_parameters()}
    for name, parameter in found.model.named_parameters():
        assert torch.allclose(parameter.grad, gradients[name], atol=1e-5, rtol=1e-4), name
