"""DPO and IPO where all answers can be counted: 16 of 2 tokens, and what the learner makes of fresh labels of pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import loss_options
import pytest
import pytorch_lightning as pl
import torch
from learners import learner
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, get_cosine_schedule_with_warmup

from llmcycle.align import Preference
from llmcycle.train.logprobs import token_logprobs

pytestmark = pytest.mark.slow
LETTERS, PAIRS = 4, 2048
COMPLETIONS = torch.cartesian_prod(torch.arange(LETTERS), torch.arange(LETTERS))  # [16, 2]


def rows(which: Tensor) -> dict[str, Tensor]:
    """A batch of some of the completions, each after the same prompt of two letters.

    After a prompt of one letter the same letter would be answered as the prompt itself is: values know no places.
    """
    ids = torch.cat([torch.tensor([[0, 1]]).expand(len(which), 2), COMPLETIONS[which]], 1)
    labels = ids.clone()
    labels[:, :2] = -100
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


@torch.no_grad()
def logprobs(model: nn.Module) -> Tensor:
    """[16] of all completions: their probabilities add up to 1, since there are no other tokens."""
    return token_logprobs(model, rows(torch.arange(len(COMPLETIONS)))).sum(1).double()


class FreshPairs(pl.LightningDataModule):
    """Fresh pairs of answers that are drawn by `drawn`, the better one by Bradley-Terry with the true reward."""

    batch_size = eval_batch_size = PAIRS
    train = validation = ()

    def __init__(self, drawn: Tensor, wins: Tensor, seed: int) -> None:
        super().__init__()
        self.drawn, self.wins, self.generator = drawn, wins, torch.Generator().manual_seed(seed)

    def train_dataloader(self) -> Iterator[dict[str, Tensor]]:
        while True:
            first, second = torch.multinomial(self.drawn, 2 * PAIRS, True, generator=self.generator).chunk(2)
            swapped = torch.rand(PAIRS, generator=self.generator) >= self.wins[first, second]
            yield rows(torch.cat([torch.where(swapped, second, first), torch.where(swapped, first, second)]))


def trained(name: str, beta: float, rewards: Tensor, drawn: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities [16] of the reference and of the policy after training."""
    torch.manual_seed(4)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=LETTERS, initializer_range=0.1, **sizes)).eval()
    reference = logprobs(model)
    wins = torch.sigmoid(rewards[:, None] - rewards[None])
    optim = partial(torch.optim.AdamW, lr=3e-3, weight_decay=0.0)
    schedule = partial(get_cosine_schedule_with_warmup, num_warmup_steps=10)
    objective = Preference(replace(loss_options.of()[name], beta=beta))
    module = learner(model, objective, optim=optim, schedule=schedule)
    quiet: dict[str, Any] = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=steps, limit_val_batches=0, enable_model_summary=False, **quiet
    )  # fmt: skip
    trainer.fit(module, datamodule=FreshPairs(drawn, wins, seed=0))
    return reference, logprobs(module.model)


@pytest.mark.parametrize(("name", "beta"), [("dpo", 0.5), ("dpo", 1.0), ("ipo", 0.25)])
def test_the_learner_reaches_the_closed_form(name: str, beta: float) -> None:
    """DPO pi_ref exp(r / beta) / Z; IPO pi_ref exp(s / beta) / Z, s the chance to win against a drawn answer."""
    drawn = torch.arange(1.0, len(COMPLETIONS) + 1, dtype=torch.float64)
    drawn = (
        drawn / drawn.sum() if name == "ipo" else torch.full_like(drawn, 1 / len(drawn))
    )  # DPO's form knows no pairs
    rewards = torch.randn(len(COMPLETIONS), generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    reference, policy = trained(name, beta, rewards, drawn, steps=220)
    winning = torch.sigmoid(rewards[:, None] - rewards[None]) @ drawn
    forms = {form: (reference + gain / beta).softmax(0) for form, gain in (("dpo", rewards), ("ipo", winning))}
    distance = {form: (policy.exp() - target).abs().sum().item() / 2 for form, target in forms.items()}
    start = (reference.exp() - forms[name]).abs().sum().item() / 2
    print(f"{name}, beta {beta}: total variation {distance[name]:.4f}, before training {start:.3f}")
    assert policy.exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert distance[name] <= 0.02
    assert start > 0.2
    assert min(value for form, value in distance.items() if form != name) > 0.1
