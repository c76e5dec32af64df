"""Reward models against libraries: the same rows, from text to loss and gradients.

Bradley-Terry with its margins and its centring is held against TRL's RewardTrainer, regression against the loss that
transformers' classes have of their own. Every loss of reward models has a row here, or a reason why it can have none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import random_llama
from datasets import Dataset
from hydra.utils import get_class
from learners import learner
from transformers import BertConfig, BertForMaskedLM, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast
from trl import RewardConfig, RewardTrainer

from llmcycle.align import RatingModel, RewardModel, scorer
from llmcycle.align.losses import BradleyTerry, MeanSquare
from llmcycle.config.paths import shipped
from llmcycle.data.rated import PreferenceMargin, Rated

ROWS = [
    {"prompt": "What is the Alba lamp's colour? ", "chosen": "It is blue.", "rejected": "Hurry, it is red!"},
    {"prompt": "And its price? ", "chosen": "The shop does not know.", "rejected": "15"},
    {"prompt": "Tell me about the Bero chair. ", "chosen": "It is made of oak.", "rejected": "It is the best."},
]
MARGINS = (0.5, 0.0, 2.0)
# Settings of Bradley-Terry, and whether the rows have margins.
PAIRS = {"plain": (0.0, False), "centred": (0.05, False), "margin": (0.0, True), "both": (0.05, True)}
COMPARED = {"bradley_terry": PAIRS, "mse": ("transformers",)}
# Losses that no library here has.
ALONE = {
    "step_cross_entropy": "TRL 1.16 has no trainer of process rewards; two classes: tests/align/test_reward_losses"
}


def test_every_loss_of_reward_models_is_compared_or_says_why_not() -> None:
    files = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (shipped("conf") / "loss").glob("*.yaml")}
    named = {name: node["_target_"] for name, node in files.items() if "_target_" in node}
    ours = {name for name, target in named.items() if get_class(target).__module__ == "llmcycle.align.losses.reward"}
    assert ours == COMPARED.keys() | ALONE.keys()


def twins(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> tuple[Any, Any]:
    """The same scorer twice, on a body of a language model or of an encoder."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    start = scorer(str(folder))
    twin = type(start)(start.config)
    twin.load_state_dict(start.state_dict())
    return start, twin


def equal_gradients(ours: torch.nn.Module, other: torch.nn.Module) -> None:
    gradients = {name: p.grad for name, p in other.named_parameters()}
    for name, parameter in ours.named_parameters():
        assert torch.allclose(parameter.grad, gradients[name], atol=1e-5, rtol=1e-4), name


@pytest.mark.parametrize("name", PAIRS)
def test_loss_and_gradients_equal_trl(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, name: str
) -> None:
    center, with_margin = PAIRS[name]
    rows = [{**row, "margin": margin} for row, margin in zip(ROWS, MARGINS, strict=True)] if with_margin else ROWS
    start, twin = twins(model, tokenizer, tmp_path)
    module = learner(start, RewardModel(BradleyTerry(center)))
    encoder = PreferenceMargin(max_length=128)
    found, _ = module.loss(encoder.collate(encoder.encode(rows, tokenizer), tokenizer.pad_token_id))
    found.backward()

    config = RewardConfig(
        output_dir=str(tmp_path / "trl"),
        per_device_train_batch_size=3,
        report_to="none",
        use_cpu=True,
        bf16=False,
        center_rewards_coefficient=center or None,
    )
    trainer = RewardTrainer(twin, config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    batch = next(iter(trainer.get_train_dataloader()))
    assert ("margin" in batch) == with_margin
    expected = trainer.compute_loss(trainer.model, batch)
    expected.backward()

    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    equal_gradients(module.model, trainer.model)


def bert(vocabulary: int) -> BertForMaskedLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return BertForMaskedLM(BertConfig(vocab_size=vocabulary, pad_token_id=0, **sizes, **dropout))


@pytest.mark.parametrize("body", ["causal", "encoder"])
def test_regression_equals_that_of_transformers(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, body: str) -> None:
    """A classifier with one output and labels in fp32 learns them by least squares."""
    model = bert(len(tokenizer)) if body == "encoder" else random_llama(len(tokenizer))
    start, twin = twins(model, tokenizer, tmp_path)
    rows = [{"prompt": r["prompt"], "completion": r["chosen"], "rating": m} for r, m in zip(ROWS, MARGINS, strict=True)]
    encoder = Rated(max_length=128)
    batch = encoder.collate(encoder.encode(rows, tokenizer), tokenizer.pad_token_id)
    module = learner(start, RatingModel(MeanSquare()))
    found, _ = module.loss(batch)
    found.backward()
    expected = twin(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["rating"].unsqueeze(1)
    ).loss
    expected.backward()
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    equal_gradients(module.model, twin)
