"""Seconds a step of alignment, on one fine-tuned model and the same rows: llmcycle, and TRL's trainers.

python tests/bench/align.py MODEL [--rounds 15] [--steps 4]     MODEL is a folder of `llmcycle finetune`; on idle cores

Each side in turn, round by round, the order turned; the median step of a run whose first step warms up. A policy's
answers are drawn from the fine-tuned model, so that they end by themselves; the reward is their length, which costs
nothing. Both use AdamW at a small rate, clip at 1, neither checkpoints activations, fp32.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

import pytorch_lightning as pl
import torch
from bench.pretrain import Ticks, ratio
from datasets import Dataset
from tiny_run import Rows
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GenerationMixin,
    PrinterCallback,
    TrainerCallback,
    get_constant_schedule,
)
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, RewardConfig, RewardTrainer

from llmcycle.align import Policy, Preference, RewardModel, scorer
from llmcycle.align.advantages import GroupRelative
from llmcycle.align.losses import DPO, BradleyTerry, Clipped
from llmcycle.align.rollouts import Sampling
from llmcycle.data.batches import Batches
from llmcycle.data.encode import Preference as Pairs
from llmcycle.data.encode import Prompts
from llmcycle.data.storefront import Preferences, Questions, World
from llmcycle.model import load
from llmcycle.quiet import hush
from llmcycle.train import BadSteps, Learner, Progress
from llmcycle.train.logprobs import Reference

PROMPTS, GROUP, TOKENS, PAIRS, LR, BETA = 8, 8, 32, 16, 1e-5, 0.04
Clock = list[float]  # when each step ended


def length(completions: list[str], **_: Any) -> list[float]:
    """A reward that costs nothing."""
    return [float(len(text)) for text in completions]


def preferences() -> list[dict[str, Any]]:
    """Prompt, chosen and rejected."""
    rows = Preferences(World(), count=400).train
    return [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in rows]


def questions() -> list[dict[str, Any]]:
    """Prompts."""
    return [{"prompt": row["prompt"]} for row in Questions(World()).train[:400]]


def llmcycle(kind: str, folder: str, steps: int, **options: Any) -> Clock:
    """As shipped, without logging."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if kind == "grpo":
        sampling = Sampling(group_size=GROUP, max_new_tokens=TOKENS)
        loss = Clipped(beta=BETA, kl="k3_weighted")  # TRL's default
        objective: Any = Policy(loss, GroupRelative(), reward=length, sampling=sampling, table_every=0, **options)
        rows, encode, size = questions(), Prompts(128), PROMPTS
    else:
        objective = Preference(DPO(), **options) if kind == "dpo" else RewardModel(BradleyTerry())
        rows, encode, size = preferences(), Pairs(256), PAIRS  # type: ignore[assignment]
    batches = Batches(Rows(rows, []), encode, tokenizer, size, size, seed=0, allow=["shared"])
    optim = partial(torch.optim.AdamW, lr=LR, weight_decay=0.0, fused=True)  # TRL's default as well
    model: Any = scorer(folder) if kind == "reward" else load(folder)
    module, ticks = Learner(model, objective, optim, get_constant_schedule), Ticks()
    with open(os.devnull, "w") as nowhere:
        trainer = pl.Trainer(
            max_steps=steps, accelerator="cpu", gradient_clip_val=1.0, limit_val_batches=0, enable_checkpointing=False,
            enable_model_summary=False, logger=False, callbacks=[Progress("bench", nowhere), BadSteps(), ticks],
        )  # fmt: skip
        trainer.fit(module, datamodule=batches)
    return ticks.clock


class TrlTicks(TrainerCallback):
    """When each of a TRL trainer's steps ended."""

    def __init__(self) -> None:
        self.clock: Clock = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.clock.append(time.perf_counter())


SHARED: dict[str, Any] = {
    "learning_rate": LR, "max_grad_norm": 1.0, "lr_scheduler_type": "constant", "gradient_checkpointing": False,
    "bf16": False, "use_cpu": True, "save_strategy": "no", "logging_strategy": "no", "report_to": [],
    "disable_tqdm": True,
}  # fmt: skip


def trl(kind: str, folder: str, steps: int) -> Clock:
    """TRL's own loop."""
    tokenizer, ticks = AutoTokenizer.from_pretrained(folder), TrlTicks()
    with tempfile.TemporaryDirectory() as out:
        shared = {**SHARED, "output_dir": out, "max_steps": steps}
        common = {"processing_class": tokenizer, "callbacks": [ticks]}
        if kind == "grpo":
            config: Any = GRPOConfig(
                **shared, per_device_train_batch_size=PROMPTS * GROUP, num_generations=GROUP, beta=BETA,
                max_completion_length=TOKENS, loss_type="grpo",
            )  # fmt: skip
            chats = [{"prompt": [{"role": "user", "content": row["prompt"]}]} for row in questions()]
            rewarded = {"reward_funcs": lambda completions, **_: [float(len(c[0]["content"])) for c in completions]}
            trainer: Any = GRPOTrainer(
                AutoModelForCausalLM.from_pretrained(folder), args=config, train_dataset=Dataset.from_list(chats),
                **rewarded, **common,
            )  # fmt: skip
        else:
            roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
            chats = [{name: said(role, row[name]) for name, role in roles.items()} for row in preferences()]
            data = Dataset.from_list(chats)
            if kind == "dpo":
                config = DPOConfig(**shared, per_device_train_batch_size=PAIRS, max_length=256)
                model = AutoModelForCausalLM.from_pretrained(folder)
                trainer = DPOTrainer(model, args=config, train_dataset=data, **common)
            else:
                config = RewardConfig(**shared, per_device_train_batch_size=PAIRS, max_length=256)
                pad = tokenizer.pad_token_id
                model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, pad_token_id=pad)
                trainer = RewardTrainer(model, args=config, train_dataset=data, **common)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return ticks.clock


def said(role: str, content: str) -> list[dict[str, str]]:
    """One turn."""
    return [{"role": role, "content": content}]


def sides(folder: str) -> dict[str, Callable[[int], Clock]]:
    """Who runs, by name."""
    ours = {f"llmcycle {kind}": partial(llmcycle, kind, folder) for kind in ("grpo", "dpo", "reward")}
    theirs = {f"trl {kind}": partial(trl, kind, folder) for kind in ("grpo", "dpo", "reward")}
    further = {
        "llmcycle grpo, prompts shared": partial(llmcycle, "grpo", folder, share_prompts=True),
        "llmcycle dpo, prompts shared": partial(llmcycle, "dpo", folder, share_prompts=True),
        "llmcycle dpo, reference stored": partial(llmcycle, "dpo", folder, reference="stored"),
    }
    return {**ours, **theirs, **further}


def measured(folder: str, rounds: int, steps: int) -> Iterator[dict[str, float]]:
    """Median seconds a step of every side, a round at a time."""
    order = list(sides(folder).items())
    for number in range(rounds + 1):
        found: dict[str, float] = {}
        for name, side in order[number % len(order) :] + order[: number % len(order)]:
            clock = side(steps + 1)
            found[name] = statistics.median(b - a for a, b in pairwise(clock))
        if number:  # the first round warms up
            print({name: round(value, 3) for name, value in found.items()}, flush=True)
            yield found


TIMED: dict[str, tuple[Any, str]] = {
    "generation": (GenerationMixin, "generate"),
    "reference": (Reference, "token_logprobs"),  # ours alone: TRL's is among the rest
    "backward pass": (torch.Tensor, "backward"),
}


def shares(side: Callable[[int], Clock], steps: int) -> dict[str, float]:
    """Of a run's time from its first timed call on, the share of each part."""
    spent: dict[str, float] = dict.fromkeys(TIMED, 0.0)
    begun: list[float] = []

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            begun.append(start)
            result = call(*args, **kwargs)
            spent[name] += time.perf_counter() - start
            return result

        return run

    with ExitStack() as stack:
        for name, (owner, method) in TIMED.items():
            stack.enter_context(patch.object(owner, method, timed(name, getattr(owner, method))))
        end = side(steps)[-1]
    whole = end - begun[0]
    rest = 1 - sum(spent.values()) / whole
    return {**{name: value / whole for name, value in spent.items()}, "forward pass and rest": rest}


def report(rounds: list[dict[str, float]]) -> None:
    """Seconds a step, and TRL's over ours: above 1 ours is faster."""
    print(f"{PROMPTS} x {GROUP} answers of at most {TOKENS} tokens; {PAIRS} pairs; {torch.get_num_threads()} threads")
    for name in rounds[0]:
        print(f"{name:32} {statistics.median(r[name] for r in rounds):.3f} s")
    for name in [name for name in rounds[0] if name.startswith("llmcycle")]:
        print(ratio(rounds, f"trl {name.split()[1].strip(',')}", name))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=4)
    arguments = parser.parse_args()
    hush()
    report(list(measured(arguments.model, arguments.rounds, arguments.steps)))
    for who, each in sides(arguments.model).items():
        print(f"{who:32} " + ", ".join(f"{part} {share:.0%}" for part, share in shares(each, 8).items() if share))
