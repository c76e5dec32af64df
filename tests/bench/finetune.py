"""Tokens of real text a second of fine-tuning: llmcycle and TRL's SFTTrainer on the same rows of mixed length.

python tests/bench/finetune.py [--rounds 15] [--steps 6] [--lora]     run it on idle cores: each side in turn
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import datasets
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from bench.pretrain import Ticks, ratio
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from tiny_run import Rows
from tokenizers import Tokenizer, models
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    TrainerCallback,
    get_cosine_schedule_with_warmup,
)
from trl import SFTConfig, SFTTrainer

from llmcycle.data.batches import Batches
from llmcycle.finetune import Supervised
from llmcycle.quiet import hush
from llmcycle.train import BadSteps, Checkpoints, Learner, Progress
from llmcycle.train.fit import prepare

WIDTH, LAYERS, VOCABULARY = 256, 6, 4096
LENGTH, PACKED, PADDED = 512, 2, 8  # tokens of the longest row; rows a batch when packed, and when padded
LR = 1e-4
Timed = list[tuple[float, int]]  # when each step ended, and the tokens of text that it had read


def model(lora: bool) -> Any:
    """A Llama of 8 million parameters, whole or under LoRA."""
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 3 * WIDTH, "num_hidden_layers": LAYERS}
    config = LlamaConfig(vocab_size=VOCABULARY, num_attention_heads=4, tie_word_embeddings=True, **sizes)
    return LlamaForCausalLM(config).train()


def method(lora: bool) -> LoraConfig | None:
    return LoraConfig(task_type="CAUSAL_LM", r=8, target_modules="all-linear") if lora else None


def examples(steps: int) -> list[dict[str, list[int]]]:
    """Token rows of log-normal length, as chats have: median 90, some over 400; the last two thirds are the answer."""
    draw = np.random.default_rng(0)
    lengths = np.clip(draw.lognormal(4.5, 0.75, PADDED * (steps + 2)).astype(int), 12, LENGTH)
    rows = [draw.integers(3, VOCABULARY, length).tolist() for length in lengths]
    return [{"input_ids": row, "labels": [-100] * (len(row) // 3) + row[len(row) // 3 :]} for row in rows]


class Encoded:
    """Rows that are tokens already."""

    max_length = LENGTH

    def encode(self, rows: Any, tokenizer: Any) -> list[dict[str, Any]]:
        return [{**row, "index": index} for index, row in enumerate(rows)]

    def collate(self, rows: Any, pad_token_id: int) -> dict[str, torch.Tensor]:
        from llmcycle.data.padding import pad

        return {
            "input_ids": pad([row["input_ids"] for row in rows], pad_token_id),
            "attention_mask": pad([[1] * len(row["input_ids"]) for row in rows], 0),
            "labels": pad([row["labels"] for row in rows], -100),
        }


def tokenizer() -> PreTrainedTokenizerFast:
    """One that nobody asks anything."""
    backend = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1, "<unk>": 2}, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


class Read(Ticks):
    """When each step ended and what had been read by then."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[int] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:  # type: ignore[override]
        super().on_train_batch_end()
        self.read.append(int(module.tokens))


def llmcycle(steps: int, lora: bool, pack: bool) -> Timed:
    """As shipped: progress, bad steps, checkpoints, clipping."""
    given: Any = {"seed": 0, "pack": pack}
    batches = Batches(
        Rows(examples(steps), []), Encoded(), tokenizer(), PACKED if pack else PADDED, 8, **given, allow=["end_token"]
    )
    optim = partial(torch.optim.AdamW, lr=LR, weight_decay=0.0, fused=True)
    schedule = partial(get_cosine_schedule_with_warmup, num_warmup_steps=0)
    module, ticks = Learner(model(lora), Supervised(), optim, schedule, method(lora)), Read()
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        trainer = pl.Trainer(
            max_steps=steps, accelerator="cpu", gradient_clip_val=1.0, limit_val_batches=0, enable_checkpointing=False,
            enable_model_summary=False, logger=False,
            callbacks=[Progress("bench", nowhere), BadSteps(), ticks, Checkpoints()],
        )  # fmt: skip
        prepare(trainer, Path(folder), "never")
        trainer.fit(module, datamodule=batches)
    return list(zip(ticks.clock, ticks.read, strict=True))


class TrlTicks(TrainerCallback):
    """When each of the SFTTrainer's steps ended."""

    def __init__(self) -> None:
        self.clock: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.clock.append(time.perf_counter())


FAIR = {"gradient_checkpointing": False, "bf16": False, "optim": "adamw_torch_fused"}  # as llmcycle runs here


def trl(steps: int, lora: bool, pack: bool, **given: Any) -> Timed:
    """TRL's own collation, packing and loss."""
    ticks, read = TrlTicks(), [0]
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            folder, max_steps=steps, per_device_train_batch_size=PACKED if pack else PADDED, max_length=LENGTH,
            packing=pack, learning_rate=LR, save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True,
            logging_strategy="no", **given,
        )  # fmt: skip
        net = get_peft_model(model(lora), found) if (found := method(lora)) else model(lora)
        trainer = SFTTrainer(
            net, config, train_dataset=Dataset.from_list(examples(steps)), processing_class=tokenizer(),
            callbacks=[ticks],
        )  # fmt: skip
        collate = trainer.data_collator

        def counted(rows: list[dict[str, Any]]) -> Any:
            read.append(read[-1] + sum(len(row["input_ids"]) for row in rows))
            return collate(rows)

        trainer.data_collator = counted
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return list(zip(ticks.clock, read[1:], strict=False))


def sides(lora: bool) -> dict[str, Callable[[int], Timed]]:
    """Who runs."""
    return {
        "llmcycle packed": partial(llmcycle, lora=lora, pack=True),
        "trl padded": partial(trl, lora=lora, pack=False, **FAIR),
        "trl packed": partial(trl, lora=lora, pack=True, **FAIR),
        "llmcycle padded": partial(llmcycle, lora=lora, pack=False),
        "trl padded, defaults": partial(trl, lora=lora, pack=False),
    }


def rates(rounds: int, steps: int, lora: bool) -> Iterator[dict[str, float]]:
    """Tokens a second of every side, a round at a time, the order turned from round to round."""
    order = list(sides(lora).items())
    for number in range(rounds + 1):
        found: dict[str, float] = {}
        for name, side in order[number % len(order) :] + order[: number % len(order)]:
            (start, skipped), *_, (end, read) = side(steps)
            found[name] = (read - skipped) / (end - start)
        if number:  # the first round warms up
            yield found


def report(rounds: list[dict[str, float]], lora: bool) -> None:
    """Everything that was measured."""
    size = sum(p.numel() for p in model(False).parameters()) / 1e6
    rows = [len(row["input_ids"]) for row in examples(20)]
    print(f"model: Llama {size:.1f}M, {'LoRA r=8' if lora else 'full'}, {torch.get_num_threads()} threads, fp32")
    print(f"rows: {min(rows)} to {max(rows)} tokens, median {statistics.median(rows):.0f}; labels on two thirds")
    print(f"packed: {PACKED} rows of {LENGTH} a batch; padded: {PADDED} rows")
    default = SFTConfig("unused", use_cpu=True, report_to=[])
    print("TRL's defaults:", {name: getattr(default, name) for name in (*FAIR, "packing", "max_length", "loss_type")})
    print("TRL otherwise:", FAIR)
    for name in sides(lora):
        print(f"{name:22} {statistics.median(r[name] for r in rounds):8.0f} tokens/s")
    for other in ("trl padded, defaults", "trl padded", "trl packed", "llmcycle padded"):
        print(ratio(rounds, "llmcycle packed", other))
    print(ratio(rounds, "llmcycle padded", "trl padded"))


@pytest.mark.bench
def test_bench() -> None:
    report(list(rates(3, 3, lora=False)), lora=False)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--lora", action="store_true")
    given = parser.parse_args()
    hush()
    datasets.disable_progress_bars()
    report(list(rates(given.rounds, given.steps, given.lora)), given.lora)


if __name__ == "__main__":
    main()
