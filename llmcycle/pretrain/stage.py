"""The stage: train on packed documents, and report the loss on held-out ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from transformers import AutoTokenizer, GenerationConfig

from llmcycle.data.chat import Prompt
from llmcycle.data.samples import own
from llmcycle.data.training_data import TrainingData
from llmcycle.evaluate import Evaluator, Metrics
from llmcycle.evaluate.loss import HeldOutLoss
from llmcycle.handoff import Format
from llmcycle.pretrain.tokenizer_report import report
from llmcycle.train import Learner, fit


def pretrain(
    module: Learner,
    batches: TrainingData,
    trainer: pl.Trainer,
    evaluators: Mapping[str, Evaluator] | None = None,
    samples: Sequence[Prompt] | None = None,
    generate: GenerationConfig | None = None,
    resume: str = "auto",
    handoff: Format | None = None,
    reference: str | None = None,
    *,
    out: Path,
    logger: Logger | None,
    checkpoints: Path | None = None,
) -> Metrics:
    """`llmcycle.train.fit`, with the loss on the data's validation documents first.

    Without `samples` the model continues the beginnings of held-out documents. What a corpus has left out of its
    sources is told in `corpus.json`.

    Args:
        reference: a pretrained tokenizer, by folder or Hub name, to set beside this one on the held-out documents.
    """
    _adopt_tokens(module, batches)
    documents = batches.rows.validation
    prompts = samples or (own(batches.rows) if documents else [])
    held_out = {"held_out": HeldOutLoss(batches.rows, batches.encode.max_length)} if documents else {}
    scored_by = {**held_out, **(evaluators or {})}
    metrics = fit(
        module, batches, trainer, scored_by, prompts, generate, resume, handoff,
        out=out, logger=logger, checkpoints=checkpoints,
    )  # fmt: skip
    return {**metrics, **_of_the_data(batches, reference, out)} if trainer.is_global_zero else metrics


def _of_the_data(batches: TrainingData, reference: str | None, out: Path) -> Metrics:
    """How the tokenizer cuts the held-out documents; writes `corpus.json` where the data have such a report."""
    if left_out := getattr(batches.rows, "report", None):
        (out / "corpus.json").write_text(json.dumps(left_out, indent=2), "utf-8")
    other = AutoTokenizer.from_pretrained(reference) if reference else None
    texts = [row["text"] for row in batches.rows.validation]
    return report(batches.tokenizer, texts, other) if any(texts) else {}


def _adopt_tokens(module: Learner, batches: TrainingData) -> None:
    """A bare configuration has its class's default ids for start, end and padding: put the tokenizer's there."""
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    ids = {name: getattr(batches.tokenizer, name) for name in names}
    module.model.config.update(ids)
    module.model.generation_config.update(**ids)
