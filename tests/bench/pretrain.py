"""Tokens a second of pre-training: llmcycle, a bare PyTorch loop and Hugging Face's Trainer on the same batches.

python tests/bench/pretrain.py [--rounds 15] [--steps 6]     run it on idle cores: each side in turn, round by round
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    get_cosine_schedule_with_warmup,
)

from llmcycle.data.loader import Order, TrainingLoader
from llmcycle.pretrain import NextToken
from llmcycle.quiet import hush
from llmcycle.train import BadSteps, Checkpoints, Learner, Progress
from llmcycle.train.fit import prepare
from llmcycle.train.throughput import flops_per_token, peak_flops, product_dtype

WIDTH, LAYERS, VOCABULARY, LENGTH, BATCH = 256, 6, 4096, 256, 4
SMALL = {"WIDTH": 192, "LAYERS": 4, "VOCABULARY": 4096, "LENGTH": 256, "BATCH": 16}  # 3 million on longer batches
CHUNK = 256  # tokens whose logits exist at once
LR, BETAS, DECAY, CLIP, WARMUP = 1e-3, (0.9, 0.95), 0.01, 1.0, 10
Clock = list[float]  # when each step ended


def model() -> LlamaForCausalLM:
    """A Llama of the size that the constants give."""
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 3 * WIDTH, "num_hidden_layers": LAYERS}
    config = LlamaConfig(vocab_size=VOCABULARY, num_attention_heads=4, tie_word_embeddings=True, **sizes)
    return LlamaForCausalLM(config).train()


def examples(steps: int) -> list[dict[str, Any]]:
    """Rows of random tokens, enough for a run."""
    draw = np.random.default_rng(0)
    rows = draw.integers(0, VOCABULARY, (steps * BATCH, LENGTH)).tolist()
    return [{"input_ids": row, "labels": row} for row in rows]


def collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """One batch."""
    return {key: torch.tensor([row[key] for row in rows]) for key in ("input_ids", "labels")}


def loader(steps: int) -> TrainingLoader:
    """The same batches in the same order for every side."""
    rows = examples(steps)
    return TrainingLoader(rows, collate, Order(len(rows), BATCH, seed=0))


def bare(steps: int, bf16: bool, compiled: bool = False) -> Clock:
    """The loop that one would write by hand."""
    net = model()
    run = torch.compile(net) if compiled else net
    optimizer = torch.optim.AdamW(net.parameters(), lr=LR, betas=BETAS, weight_decay=DECAY, fused=True)
    schedule = get_cosine_schedule_with_warmup(optimizer, WARMUP, steps)
    clock: Clock = []
    for batch in islice(loader(steps), steps):
        with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            loss = run(**batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()  # as whoever watches it does
        clock.append(time.perf_counter())
    return clock


class Ticks(pl.Callback):
    """When each of Lightning's steps ended."""

    def __init__(self) -> None:
        self.clock: Clock = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.clock.append(time.perf_counter())


class Data(pl.LightningDataModule):
    """The batches, for Lightning."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def train_dataloader(self) -> TrainingLoader:
        return loader(self.steps)


def llmcycle(steps: int, precision: str, **given: Any) -> Clock:
    """As shipped: progress, bad steps, checkpoints, clipping; logging is off for all sides."""
    optim = partial(torch.optim.AdamW, lr=LR, betas=BETAS, weight_decay=DECAY, fused=True)
    schedule = partial(get_cosine_schedule_with_warmup, num_warmup_steps=WARMUP)
    module = Learner(model(), NextToken(), optim, schedule, **given)
    ticks = Ticks()
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        trainer = pl.Trainer(
            max_steps=steps,
            accelerator="cpu",
            precision=precision,  # type: ignore[arg-type]
            gradient_clip_val=CLIP,
            limit_val_batches=0,
            enable_checkpointing=False,
            enable_model_summary=False,
            logger=False,
            callbacks=[Progress("bench", nowhere), BadSteps(), ticks, Checkpoints()],
        )
        prepare(trainer, Path(folder), "never")
        trainer.fit(module, datamodule=Data(steps))
    return ticks.clock


class HfTicks(TrainerCallback):
    """When each of the Trainer's steps ended."""

    def __init__(self) -> None:
        self.clock: Clock = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.clock.append(time.perf_counter())


def hugging_face(steps: int, bf16: bool) -> Clock:
    """transformers.Trainer, its fused AdamW, its default clipping at 1."""
    ticks = HfTicks()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=steps, per_device_train_batch_size=BATCH, learning_rate=LR, adam_beta1=BETAS[0],
            adam_beta2=BETAS[1], weight_decay=DECAY, warmup_steps=WARMUP, lr_scheduler_type="cosine", bf16=bf16,
            save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True, optim="adamw_torch_fused",
            logging_strategy="no",
        )  # fmt: skip
        Trainer(model(), arguments, train_dataset=examples(steps), data_collator=collate, callbacks=[ticks]).train()
    return ticks.clock


def sides(bf16: bool, compiled: bool = False) -> dict[str, Callable[[int], Clock]]:
    """Who runs: each in fp32, and in bf16 where this machine is fast in it; llmcycle with a chunked loss as well."""
    runs: dict[str, Callable[[int], Clock]] = {
        "bare": partial(bare, bf16=False),
        "llmcycle": partial(llmcycle, precision="32-true"),
        "trainer": partial(hugging_face, bf16=False),
    }
    if compiled:
        runs["bare compiled"] = partial(bare, bf16=False, compiled=True)
        runs["llmcycle compiled"] = partial(llmcycle, precision="32-true", compile=True)
    if not bf16:
        return runs
    return runs | {
        "bare bf16": partial(bare, bf16=True),
        "trainer bf16": partial(hugging_face, bf16=True),
        "llmcycle bf16": partial(llmcycle, precision="bf16-mixed"),
        "llmcycle best": partial(llmcycle, precision="bf16-mixed", loss_chunk=CHUNK),
    }


def rates(rounds: int, steps: int, bf16: bool, compiled: bool = False) -> Iterator[dict[str, float]]:
    """Tokens a second of every side, a round at a time, the order turned from round to round."""
    order = list(sides(bf16, compiled).items())
    for number in range(rounds + 1):
        found: dict[str, float] = {}
        for name, side in order[number % len(order) :] + order[: number % len(order)]:
            clock = side(steps)
            found[name] = BATCH * LENGTH * (len(clock) - 1) / (clock[-1] - clock[0])
        if number:  # the first round warms up
            yield found


def ratio(rounds: list[dict[str, float]], one: str, other: str) -> str:
    """Median of the rounds' ratios with a 95 % bootstrap interval."""
    values = np.array([r[one] / r[other] for r in rounds])
    draws = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.quantile(np.median(draws, 1), [0.025, 0.975])
    return f"{one} / {other}: {np.median(values):.3f} [{low:.3f}, {high:.3f}]"


def report(rounds: list[dict[str, float]]) -> None:
    """Everything that was measured."""
    net, threads = model(), torch.get_num_threads()
    size = sum(p.numel() for p in net.parameters()) / 1e6
    print(f"model: Llama {size:.1f}M, {BATCH} x {LENGTH} tokens a step, {threads} threads")
    print(f"all: fused AdamW lr {LR} betas {BETAS} decay {DECAY}, clip {CLIP}, cosine, warm-up {WARMUP}, no logging")
    for name in rounds[0]:
        speed = statistics.median(r[name] for r in rounds)
        peak = peak_flops(torch.device("cpu"), product_dtype("bf16-mixed" if name.endswith(("bf16", "best")) else 32))
        mfu = speed * flops_per_token(net, LENGTH) / peak
        print(f"{name:18} {speed:8.0f} tokens/s  {BATCH * LENGTH / speed * 1000:5.0f} ms a step  MFU {mfu:.2f}")
    others = [name for name in rounds[0] if not name.startswith("llmcycle")]
    for one in [name for name in rounds[0] if name.startswith("llmcycle")]:
        for other in others:
            print(ratio(rounds, one, other))


@pytest.mark.bench
def test_bench() -> None:
    report(list(rates(3, 4, bf16=False)))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--no-bf16", action="store_true", help="for a CPU without bf16 units, where it is very slow")
    parser.add_argument("--compile", action="store_true", help="compiled passes as well")
    parser.add_argument("--small", action="store_true", help="3 million parameters on 16 x 256 tokens")
    options = parser.parse_args()
    hush()
    if options.small:
        globals().update(SMALL)
    report(list(rates(options.rounds, options.steps, not options.no_bf16, options.compile)))


if __name__ == "__main__":
    main()
