"""Preference losses against TRL's DPOTrainer: the same rows, from text to loss and gradients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import loss_options
import pytest
from datasets import Dataset
from learners import learner
from preference_trainers import copied, perturbed, refuse_difference
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

from llmcycle.align import Preference
from llmcycle.align.losses import PreferenceLoss
from llmcycle.data.encode import Preference as PreferenceEncoder
from llmcycle.train import Learner

ROWS = [
    {"prompt": "What is the Alba lamp's colour? ", "chosen": "It is blue.", "rejected": "Hurry, it is red!"},
    {"prompt": "And its price? ", "chosen": "The shop does not know.", "rejected": "15"},
    {"prompt": "Tell me about the Bero chair. ", "chosen": "It is made of oak.", "rejected": "It is the best."},
]
# Chosen answers of one length: TRL's mean of the chosen answer's own loss is one over all tokens of a batch, ours one
# over rows as in the paper.
EVEN = [
    {"prompt": "Its colour? ", "chosen": "It is blue.", "rejected": "Hurry, it is red!"},
    {"prompt": "Is the Bero chair tall? ", "chosen": "It is low .", "rejected": "Tall."},
]
ROW_SETS = {"even": EVEN, "uneven": ROWS}
SIGMOID = {"loss_type": ["sigmoid"]}
# By option and further settings of it: what TRL is told. `rows` are those of ROW_SETS.
TRL: dict[tuple[str, tuple[tuple[str, object], ...]], dict[str, object]] = {
    ("dpo", ()): SIGMOID,
    # Short rows: exp of a log-ratio magnifies what fp32 rounds of the sum of an answer's log-probabilities.
    ("dpo", (("divergence", "forward_kl"),)): {**SIGMOID, "f_divergence_type": "forward_kl", "rows": "even"},
    ("dpo", (("divergence", "js"),)): {**SIGMOID, "f_divergence_type": "js_divergence"},
    ("dpo", (("divergence", 0.5),)): {
        **SIGMOID, "f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.5,
    },
    ("dpo_nll", ()): {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 1.0], "rows": "even"},
    ("wpo", ()): {**SIGMOID, "use_weighting": True},
    ("robust", ()): {"loss_type": ["robust"], "label_smoothing": 0.1},
    ("ipo", (("per_token", True),)): {"loss_type": ["ipo"]},
    ("hinge", ()): {"loss_type": ["hinge"]},
    ("exo", ()): {"loss_type": ["exo_pair"], "label_smoothing": 0.001},
    ("nca", ()): {"loss_type": ["nca_pair"]},
    ("bco_pair", ()): {"loss_type": ["bco_pair"]},
    ("sppo", (("beta", 0.5),)): {"loss_type": ["sppo_hard"]},
    ("apo_zero", ()): {"loss_type": ["apo_zero"]},
    ("apo_down", ()): {"loss_type": ["apo_down"]},
    ("aot", ()): {"loss_type": ["aot"]},
    ("aot_unpaired", ()): {"loss_type": ["aot_unpaired"]},
    ("discopop", ()): {"loss_type": ["discopop"], "discopop_tau": 0.05},
    ("sft", ()): {"loss_type": ["sft"]},
    ("sigmoid_norm", ()): {"loss_type": ["sigmoid_norm"]},
}  # fmt: skip
# Options without a row here, and why.
ELSEWHERE = {
    "cdpo": "TRL's sigmoid takes no label smoothing; by hand in tests/align/losses, and TRL's aot takes the same term",
    "ipo": "a row has it with per_token, as TRL means it",
    "sppo": "a row has it with a larger beta, since its own puts the loss at 250,000, of which fp32 knows 0.02",
    "simpo": "tests/parity/test_cpo.py",
    "cpo": "tests/parity/test_cpo.py",
    "orpo": "tests/parity/test_cpo.py",
}


def test_every_option_has_a_row_or_a_reason() -> None:
    rows = {name for name, settings in TRL if not settings}
    assert rows | ELSEWHERE.keys() == loss_options.of().keys()
    assert not rows & ELSEWHERE.keys()


def ours(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, loss: PreferenceLoss, rows: list[dict[str, str]]
) -> Learner:
    """The module with its loss's gradients on it; the starting model is the reference, the policy has moved on."""
    module = learner(model, Preference(loss))
    module.model.load_state_dict(perturbed(model))
    encoder = PreferenceEncoder(max_length=128)
    batch = encoder.collate(encoder.encode(rows, tokenizer), tokenizer.pad_token_id)
    module.value, _ = module.loss(batch)
    module.value.backward()
    return module


def theirs(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    out: Path,
    rows: list[dict[str, str]],
    **options: object,
) -> DPOTrainer:
    policy = type(model)(model.config)
    policy.load_state_dict(perturbed(model))
    config = DPOConfig(
        output_dir=str(out),
        per_device_train_batch_size=len(rows),
        report_to="none",
        use_cpu=True,
        bf16=False,
        **options,
    )
    trainer = DPOTrainer(policy, model, config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.value = trainer.compute_loss(trainer.model, batch)
    trainer.value.backward()
    return trainer


@pytest.mark.parametrize(("name", "settings"), TRL, ids=str)
def test_loss_and_gradients_equal_trl(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    name: str,
    settings: tuple[tuple[str, object], ...],
) -> None:
    loss = replace(loss_options.of()[name], **dict(settings))
    options = dict(TRL[name, settings])
    rows = ROW_SETS[str(options.pop("rows", "uneven"))]
    beta = {"beta": loss.beta} if hasattr(loss, "beta") else {}
    expected = theirs(copied(model), tokenizer, tmp_path, rows, **beta, **options)
    trained = ours(model, tokenizer, loss, rows)
    refuse_difference(trained.value, trained.model, expected.value, expected.model)
