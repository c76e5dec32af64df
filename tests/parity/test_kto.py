"""KTO and its like against TRL's KTOTrainer: the same rows, from text to reference point, loss and gradients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import loss_options
import pytest
from datasets import Dataset
from learners import learner
from preference_trainers import copied, perturbed, refuse_difference
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl import KTOConfig, KTOTrainer

from llmcycle.align import Unpaired
from llmcycle.align.losses import UnpairedLoss
from llmcycle.data.unpaired import Unpaired as UnpairedEncoder

ROWS = [
    {"prompt": "What is the Alba lamp's colour? ", "completion": "It is blue.", "label": True},
    {"prompt": "And its price? ", "completion": "15", "label": False},
    {"prompt": "Tell me about the Bero chair. ", "completion": "It is made of oak.", "label": True},
    {"prompt": "Is it tall? ", "completion": "Hurry, it is the best!", "label": False},
    {"prompt": "Its colour? ", "completion": "The shop does not know.", "label": True},
]
WEIGHTS = {"desirable_weight": 1.2, "undesirable_weight": 0.7}
QUIET: dict[str, Any] = {"report_to": "none", "use_cpu": True, "bf16": False, "train_sampling_strategy": "sequential"}
TRL = {"kto": "kto", "apo_zero_unpaired": "apo_zero_unpaired"}
ELSEWHERE = {"bco": "TRL 1.16 has no BCO of single answers; by hand in tests/align/losses/test_unpaired_values.py"}


def test_every_option_has_a_row_or_a_reason() -> None:
    assert TRL.keys() | ELSEWHERE.keys() == loss_options.of(UnpairedLoss).keys()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", TRL)
def test_loss_and_gradients_equal_trl(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, name: str, seed: int
) -> None:
    loss = replace(loss_options.of(UnpairedLoss)[name], **WEIGHTS)
    policy = copied(model)
    policy.load_state_dict(perturbed(model, seed))
    config = KTOConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=len(ROWS), loss_type=TRL[name], beta=loss.beta,
        **WEIGHTS, **QUIET,
    )  # fmt: skip
    trainer = KTOTrainer(
        policy, copied(model), config, train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer
    )
    expected = trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader())))
    expected.backward()
    module, encoder = learner(model, Unpaired(loss)), UnpairedEncoder(max_length=128)
    module.model.load_state_dict(perturbed(model, seed))
    value, watched = module.loss(encoder.collate(encoder.encode(ROWS, tokenizer), tokenizer.pad_token_id))
    value.backward()
    (point,) = trainer._metrics["train"]["kl"]
    assert watched["reference_point"].item() == pytest.approx(point, abs=1e-4)
    refuse_difference(value, module.model, expected, trainer.model)
