"""What the model writes while it learns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytorch_lightning as pl

from llmcycle.data.chat import Prompt
from llmcycle.data.training_data import TrainingData
from llmcycle.engine import TransformersEngine, texts
from llmcycle.quantities import Count
from llmcycle.train.learner import Learner


class TextSamples(pl.Callback):
    """Answers the same prompts every so many steps, greedily, into `samples.jsonl` beside the logger's own files.

    Args:
        prompts: what is asked; a model without a chat template continues them.
        every_n_steps: optimizer steps between two looks.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"answer"})

    def __init__(self, prompts: Sequence[Prompt], every_n_steps: Count = 100) -> None:
        self.prompts, self.every_n_steps = list(prompts), every_n_steps
        self._last = -1

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        assert isinstance(module, Learner)
        step = trainer.global_step
        if step % self.every_n_steps or step == self._last or not trainer.is_global_zero:
            return
        self._last = step
        batches: TrainingData = trainer.datamodule  # type: ignore[attr-defined]
        engine = TransformersEngine(module.model, batches.tokenizer, batches.eval_batch_size)
        answers = texts(engine, self.prompts)
        for logger in trainer.loggers:
            self.write(Path(logger.log_dir or logger.save_dir or "."), step, answers)

    def write(self, folder: Path, step: int, answers: Sequence[str]) -> None:
        """A line for each prompt."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "samples.jsonl").open("a", encoding="utf-8") as file:
            for prompt, answer in zip(self.prompts, answers, strict=True):
                file.write(json.dumps({"step": step, "prompt": prompt, "answer": answer}, ensure_ascii=False) + "\n")
