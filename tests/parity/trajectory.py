"""One training run by llmcycle and by TRL's SFTTrainer: the same rows in the same order from the same weights."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from datasets import Dataset
from learners import learner
from peft import PeftConfig
from tiny_run import Rows
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_cosine_schedule_with_warmup
from trl import SFTConfig, SFTTrainer

from llmcycle.data.batches import Batches
from llmcycle.data.encode import Completion
from llmcycle.data.loader import Order
from llmcycle.finetune import Supervised
from llmcycle.train import Learner
from llmcycle.train.fit import train

Losses = list[float]


class Run:
    """What both sides are told.

    Args:
        rows: prompts and completions, each a list of messages.
        length: tokens of a packed row, and of the longest.
        tokenised: TRL is given our tokens and masks, where its own also learn what a template writes after the end.
    """

    def __init__(
        self, rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, steps: int, batch: int, length: int,
        pack: bool, accumulate: int = 1, lr: float = 1e-3, tokenised: bool = False,
    ) -> None:  # fmt: skip
        self.tokenizer, self.steps, self.batch, self.length = tokenizer, steps, batch, length
        self.pack, self.accumulate, self.lr, self.rows = pack, accumulate, lr, rows
        if tokenised:
            examples = Completion(length).encode(rows, tokenizer)
            self.rows = [{name: e[name] for name in ("input_ids", "labels")} for e in examples]
        self.batches = Batches(Rows(rows, []), Completion(length), tokenizer, batch, batch, seed=3, pack=pack)

    def ours(self, module: Learner) -> Losses:
        """The loss of every optimizer step."""
        quiet: Any = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = pl.Trainer(
            max_steps=self.steps, accelerator="cpu", gradient_clip_val=1.0, limit_val_batches=0,
            accumulate_grad_batches=self.accumulate, enable_model_summary=False, **quiet,
        )  # fmt: skip
        train(module, self.batches, trainer, None, None)
        parts = [float(loss) for loss in module.losses]
        return [sum(parts[i : i + self.accumulate]) / self.accumulate for i in range(0, len(parts), self.accumulate)]

    def theirs(self, model: Any, out: Path) -> Losses:
        """The same by TRL, which tokenises, masks, packs and collates by itself; only the order is given to it."""
        config = SFTConfig(
            output_dir=str(out), max_steps=self.steps, per_device_train_batch_size=self.batch, learning_rate=self.lr,
            gradient_accumulation_steps=self.accumulate, max_length=self.length, packing=self.pack, warmup_steps=2,
            lr_scheduler_type="cosine", weight_decay=0.0, completion_only_loss=True, logging_steps=1, report_to="none",
            save_strategy="no", disable_tqdm=True, train_sampling_strategy="sequential", use_cpu=True, bf16=False,
            gradient_checkpointing=False,
        )  # fmt: skip
        trainer = SFTTrainer(model, config, train_dataset=Dataset.from_list(self.rows), processing_class=self.tokenizer)
        places = {key(example): place for place, example in enumerate(trainer.train_dataset)}
        order = Order(len(self.batches.train), self.batch, seed=3)
        draws = [index for number in range(self.steps * self.accumulate) for index, _ in order.batch(number)]
        trainer.train_dataset = trainer.train_dataset.select([places[key(self.batches.train[i])] for i in draws])
        trainer.train()
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    def module(self, model: PreTrainedModel, peft: PeftConfig | None) -> Learner:
        """Ours, in training mode as from the start."""
        optim = partial(torch.optim.AdamW, lr=self.lr, weight_decay=0.0)
        schedule = partial(get_cosine_schedule_with_warmup, num_warmup_steps=2)
        return learner(model, Supervised(), copy.copy(peft), optim, schedule=schedule)

    def both(self, model: PreTrainedModel, peft: PeftConfig | None, out: Path) -> tuple[Losses, Losses]:
        """Our losses and TRL's."""
        module = self.module(model, peft)
        twin = copy.deepcopy(module.model)
        return self.ours(module), self.theirs(twin, out)


def key(example: dict[str, Any]) -> tuple[int, ...]:
    """A row's tokens, whatever the order of what was packed into it."""
    ids, starts = list(example["input_ids"]), boundaries(example)
    pieces = sorted(tuple(ids[a:b]) for a, b in zip(starts, [*starts[1:], len(ids)], strict=True))
    return tuple(token for piece in pieces for token in (-1, *piece))


def boundaries(example: dict[str, Any]) -> list[int]:
    """Where each piece of a row begins, in our form or in TRL's."""
    if "position_ids" in example:
        return [place for place, position in enumerate(example["position_ids"]) if position == 0]
    sizes = list(example.get("seq_lengths") or [len(example["input_ids"])])
    return [sum(sizes[:i]) for i in range(len(sizes))]
