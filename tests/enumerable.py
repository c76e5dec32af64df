"""A policy whose answers can all be written down: two tokens out of four, after a prompt of two.

Its reference and its rewards are random, so that what an objective ends at can be set against a closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pytorch_lightning import Callback, Trainer
from tiny_run import Rows
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    get_linear_schedule_with_warmup,
)

from llmcycle.align import Policy
from llmcycle.align.rollouts import Sampling
from llmcycle.config import options
from llmcycle.data.batches import Batches
from llmcycle.data.encode import Prompts
from llmcycle.train import Learner, OverOptimisation, fit

TOKENS = 4
PAIRS = torch.cartesian_prod(torch.arange(TOKENS), torch.arange(TOKENS))  # [16, 2]: every answer
ROWS = [{"prompt": "a b"}]
PROMPT = (0, 1)  # of one token, an answer that repeats it would look to the model like no answer yet
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
NO_SPECIAL = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}  # a padding row would stay 0


def tokenizer() -> PreTrainedTokenizerFast:
    """Four letters and no token that ends an answer."""
    backend = Tokenizer(models.WordLevel({letter: index for index, letter in enumerate("abcd")}, unk_token="a"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="a")


def reference(seed: int) -> LlamaForCausalLM:
    """A random policy, far from uniform."""
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=TOKENS, initializer_range=0.25, **SIZES, **NO_SPECIAL)
    return LlamaForCausalLM(config).eval()


def critic(seed: int) -> PreTrainedModel:
    torch.manual_seed(seed)
    return LlamaForTokenClassification(LlamaConfig(vocab_size=TOKENS, num_labels=1, **SIZES, **NO_SPECIAL)).eval()


def rewards(seed: int) -> Tensor:
    """[16] of each answer, with a deviation of 1."""
    return torch.randn(len(PAIRS), generator=torch.Generator().manual_seed(seed))


def token_logprobs(model: Any) -> Tensor:
    """[16, 2] log-probabilities of both tokens of all answers to the prompt."""
    ids = torch.cat([torch.tensor(PROMPT).expand(len(PAIRS), -1), PAIRS], 1)
    logprobs = model(input_ids=ids).logits[:, len(PROMPT) - 1 :].log_softmax(-1)
    return torch.cat([logprobs[:, t].gather(1, PAIRS[:, [t]]) for t in range(2)], 1)


@torch.no_grad()
def distribution(model: Any) -> Tensor:
    """[16] log-probabilities of all answers to the prompt."""
    return token_logprobs(model).sum(1)


def tilted(ref: Tensor, values: Tensor, beta: float) -> Tensor:
    """[16] pi_ref exp(values / beta) / Z in logs."""
    return (ref + values / beta).log_softmax(0)


def distance(logprobs: Tensor, target: Tensor) -> float:
    """The total variation between two distributions given by logs."""
    return 0.5 * (logprobs.exp() - target.exp()).abs().sum().item()


def best_of_draws(start: Tensor, proxy: Tensor, n: int) -> Tensor:
    """[16] the exact probability that each answer is the best of n draws; those that the proxy ties share it."""
    probabilities = start.exp()
    below = torch.stack([probabilities[proxy < value].sum() for value in proxy])
    upto = torch.stack([probabilities[proxy <= value].sum() for value in proxy])
    return probabilities * (upto**n - below**n) / (upto - below)


def flawed() -> tuple[Tensor, Tensor]:
    """A gold reward, and a proxy that follows it but for one letter, which it pays for each time it is said."""
    both = rewards(85)
    letters = 1.5 * (PAIRS == 2).sum(1)
    return both - letters, both + letters


def along(start: Tensor, proxy: Tensor, gold: Tensor, betas: Sequence[float]) -> list[tuple[float, ...]]:
    """KL, proxy and gold of the closed form at several strengths of the pull to the reference."""
    policies = [tilted(start, proxy, beta) for beta in betas]
    return [tuple((p.exp() * values).sum().item() for values in (p - start, proxy, gold)) for p in policies]


class Path16(Callback):
    """[16] log-probabilities of all answers before training and after each step."""

    def __init__(self) -> None:
        self.places: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.places.append(distribution(pl_module.model))

    def on_train_batch_end(self, trainer: Trainer, module: Any, *_: object) -> None:
        self.places.append(distribution(module.model))


def followed(out: Path, proxy: Tensor, gold: Tensor, seed: int, steps: int, **stop: Any) -> tuple[Any, Any, Path16]:
    """RLOO at beta 0.2 that follows the proxy and stops by the gold reward: metrics, the model that is handed on, and
    the path of the policy.

    `stop` are settings of the callback. Each held-out row is the one prompt again, as if people had asked it often.
    """
    rows = Rows(ROWS * 32, ROWS * stop.get("rows", 64))
    policy = Policy(
        loss=option("loss", "rloo", beta=0.2),
        reward=Table(proxy),
        sampling=Sampling(group_size=8, max_new_tokens=2),
        advantage=option("advantage", "leave_one_out"),
        table_every=0,
        seed=seed,
    )
    module = Learner(reference(0), policy, partial(torch.optim.Adam, lr=2e-4), decay)
    batches = Batches(rows, Prompts(8), tokenizer(), 32, 256, seed, allow=["shared"])
    watch, path = OverOptimisation(rows, Table(gold), max_new_tokens=2, seed=seed, **stop), Path16()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    settings = {"max_steps": steps, "limit_val_batches": 0, "gradient_clip_val": 1.0, "enable_model_summary": False}
    trainer = Trainer(callbacks=[watch, path], **quiet, **settings)
    metrics = fit(module, batches, trainer, out=out, logger=None)
    return metrics, LlamaForCausalLM.from_pretrained(out), path


def decay(optimizer: torch.optim.Optimizer, num_training_steps: int) -> Any:
    """A rate that falls to a hundredth."""
    return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, num_training_steps)


class Table:
    """A reward by the answer's tokens."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[str],
        completion_ids: Sequence[Sequence[int]],
        **_: Any,
    ) -> list[float]:
        return [self.values[TOKENS * first + second].item() for first, second in completion_ids]


def option(group: str, name: str, **settings: Any) -> Any:
    """A shipped option, built with further settings."""
    return instantiate(OmegaConf.create({**options.option(group, name), **settings}))


class Data:
    """What an objective takes of a run's data."""

    rows = Rows(ROWS, ROWS)
    tokenizer = tokenizer()
    train = ()


def prompts(count: int) -> dict[str, Tensor]:
    """A batch of the one prompt, several times."""
    ids = torch.tensor(PROMPT).expand(count, -1)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "index": torch.zeros(count, dtype=torch.long)}


def learner(objective: Policy, model: LlamaForCausalLM, others: dict[str, Any], lr: float, steps: int) -> Learner:
    schedule = partial(get_linear_schedule_with_warmup, num_warmup_steps=0, num_training_steps=steps)
    module = Learner(model, objective, partial(torch.optim.AdamW, lr=lr, weight_decay=0.0), schedule, others=others)
    module.models.train()
    objective.begin(module.models, Data())
    return module
