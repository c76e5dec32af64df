"""Numbers that can't be right are refused: a table of what is in range and what is not, in all rooms and libraries."""

from __future__ import annotations

from typing import Any

import pytest
from annotated_types import Ge, Gt, Interval

from llmcycle.config.allow import check_target
from llmcycle.config.annotations import fits, parameter_types
from llmcycle.config.ranges import example, inside, words

TABLE = [
    ("torch.optim.AdamW", "lr", [1e-3, 1], [0, -1]),
    ("torch.optim.AdamW", "betas", [[0.9, 0.999], [0, 0]], [[0.9, 1.0], [-0.1, 0.9]]),
    ("torch.optim.AdamW", "weight_decay", [0, 0.1], [-0.1]),
    ("torch.optim.SGD", "momentum", [0, 0.9], [1, -0.5]),
    ("llmcycle.train.optimizers.Muon", "lr", [1e-3], [0, -1]),
    ("llmcycle.train.optimizers.AdamW8bit", "lr", [1e-3], [-1]),
    ("pytorch_lightning.Trainer", "max_steps", [1, -1], [0, -2]),
    ("pytorch_lightning.Trainer", "max_epochs", [1, -1, None], [0]),
    ("pytorch_lightning.Trainer", "devices", [1, 2, "auto", -1, [0, 1]], [0, -2, 1.5]),
    ("pytorch_lightning.Trainer", "accumulate_grad_batches", [1, 4], [0]),
    ("pytorch_lightning.Trainer", "gradient_clip_val", [0, 1.0, None], [-1]),
    ("pytorch_lightning.Trainer", "limit_val_batches", [0, 8, 0.5], [-1, 1.5]),
    ("pytorch_lightning.Trainer", "val_check_interval", [1, 50, 0.5], [0, -1]),
    ("peft.LoraConfig", "r", [1, 8], [0, -1]),
    ("peft.LoraConfig", "lora_dropout", [0, 0.5], [-0.1, 1.5]),
    ("peft.VeraConfig", "r", [8], [0]),
    ("peft.PromptTuningConfig", "num_virtual_tokens", [1, 16], [0]),
    ("transformers.GenerationConfig", "max_new_tokens", [1, 32], [0, -1]),
    ("transformers.GenerationConfig", "temperature", [0.7, 1], [0, -1]),
    ("transformers.GenerationConfig", "top_p", [0.9, 1], [0, 1.1]),
    ("transformers.GenerationConfig", "top_k", [0, 50], [-1]),
    ("transformers.GenerationConfig", "num_beams", [1, 4], [0]),
    ("transformers.LlamaConfig", "num_hidden_layers", [1, 4], [0]),
    ("transformers.LlamaConfig", "hidden_size", [128], [0, -1]),
    ("transformers.BertConfig", "hidden_dropout_prob", [0, 0.1], [-0.1, 2]),
    ("transformers.GPT2Config", "n_layer", [4], [0]),
    ("transformers.get_cosine_schedule_with_warmup", "num_warmup_steps", [0, 0.05, 100], [-1]),
    ("transformers.get_cosine_with_min_lr_schedule_with_warmup", "min_lr_rate", [0, 0.1], [-0.1, 2]),
    ("llmcycle.data.batches.Batches", "batch_size", [1, 16], [0, -1]),
    ("llmcycle.data.batches.Batches", "workers", [0, 2], [-1]),
    ("llmcycle.data.corpus.stream.StreamedBatches", "lanes", [24], [0]),
    ("llmcycle.data.rows.Table", "limit", [1, None], [0, -1]),
    ("llmcycle.data.encode.Completion", "max_length", [2, 128], [0, 1]),
    ("llmcycle.data.masked.Masked", "rate", [0.15, 1], [0, 1.5]),
    ("llmcycle.data.storefront.Questions", "count", [1], [0]),
    ("llmcycle.evaluate.exact_match.ExactMatch", "limit", [1, None], [0, -1]),
    ("llmcycle.evaluate.hhh.HHH", "max_new_tokens", [1], [0]),
    ("llmcycle.align.losses.DPO", "beta", [0.1], [0, -1]),
    ("llmcycle.align.losses.DPO", "divergence", [0, 0.5, 1, "js"], [-0.1, 1.5, "kl"]),
    ("llmcycle.align.losses.Robust", "label_smoothing", [0, 0.4], [-0.1, 0.5]),
    ("llmcycle.align.losses.EXO", "label_smoothing", [0.001, 0.9], [0, 1]),
    ("llmcycle.align.losses.KTO", "desirable_weight", [0, 1.5], [-1]),
    ("llmcycle.align.losses.BCO", "decay", [0, 0.9], [-0.1, 1]),
    ("llmcycle.align.losses.Clipped", "beta", [0, 0.04], [-0.1]),
    ("llmcycle.align.rollouts.Sampling", "temperature", [1], [0]),
    ("llmcycle.compress.compress", "max_new_tokens", [32], [0]),
    ("llmcycle.deploy.deploy", "queue", [8], [0]),
    ("llmcycle.train.Checkpoints", "every_n_steps", [1], [0]),
    ("llmcycle.train.Judge", "rows", [1, None], [0]),
    ("llmcycle.train.schedules.warmup_stable_decay", "num_decay_steps", [0, 0.2, 100], [-1]),
    ("llmcycle.pretrain.ByteLevelBPE", "vocab_size", [512], [0]),
    ("llmcycle.finetune.combine", "density", [0.2, 1], [0, 1.5]),
]


@pytest.mark.parametrize(("name", "argument", "right", "wrong"), TABLE, ids=lambda one: str(one)[:60])
def test_ranges(name: str, argument: str, right: list[Any], wrong: list[Any]) -> None:
    annotation = parameter_types(check_target(name, name))[argument]
    assert [value for value in right if not fits(value, annotation)] == []
    assert [value for value in wrong if fits(value, annotation)] == []


@pytest.mark.parametrize(
    ("metadata", "text"),
    [((Ge(1),), "of at least 1"), ((Gt(0),), "above 0"), ((Interval(ge=0, lt=1),), "of at least 0 and below 1")],
)
def test_a_range_is_said_in_words_and_its_example_is_inside(metadata: tuple[Any, ...], text: str) -> None:
    assert words(metadata) == text
    for whole in (True, False):
        assert inside(example(metadata, whole), metadata)
