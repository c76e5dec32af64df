"""CPO, SimPO and ORPO against TRL's trainers: the same rows, from text to loss and gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import loss_options
import pytest
from datasets import Dataset
from learners import learner
from preference_trainers import copied, refuse_difference
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

from llmcycle.align import Preference
from llmcycle.data.encode import Preference as PreferenceEncoder

# Chosen answers of one length: TRL averages their own loss over all tokens of a batch, ours over those of each row.
ROWS = [
    {"prompt": "Its colour? ", "chosen": "It is blue.", "rejected": "Hurry, it is red!"},
    {"prompt": "Is the Bero chair tall? ", "chosen": "It is low .", "rejected": "Tall."},
]
# TRL's ORPO learns the prompt too, but for its first token, which nothing predicts: here a prompt is one token.
ONE_TOKEN = [{**row, "prompt": prompt} for row, prompt in zip(ROWS, "QP", strict=True)]
QUIET: dict[str, Any] = {"report_to": "none", "use_cpu": True, "bf16": False, "remove_unused_columns": False}
TRL: dict[str, tuple[type, type, list[dict[str, str]], dict[str, object]]] = {
    "cpo": (CPOTrainer, CPOConfig, ROWS, {"loss_type": "sigmoid", "cpo_alpha": 1.0}),
    "simpo": (CPOTrainer, CPOConfig, ROWS, {"loss_type": "simpo", "simpo_gamma": 1.0, "cpo_alpha": 0.0}),
    "orpo": (ORPOTrainer, ORPOConfig, ONE_TOKEN, {}),
}


def test_every_option_without_a_reference_has_a_row() -> None:
    assert TRL.keys() | {"sft"} == {name for name, loss in loss_options.of().items() if not loss.needs_reference}


@pytest.mark.parametrize("name", TRL)
def test_loss_and_gradients_equal_trl(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, name: str
) -> None:
    loss, (trainer_class, config_class, rows, options) = loss_options.of()[name], TRL[name]
    config = config_class(output_dir=str(tmp_path), per_device_train_batch_size=2, beta=loss.beta, **QUIET, **options)
    trainer = trainer_class(copied(model), config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    expected = trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader())))
    expected.backward()
    module, encoder = learner(model, Preference(loss)), PreferenceEncoder(max_length=128)
    value, _ = module.loss(encoder.collate(encoder.encode(rows, tokenizer), tokenizer.pad_token_id))
    value.backward()
    refuse_difference(value, module.model, expected, trainer.model)
