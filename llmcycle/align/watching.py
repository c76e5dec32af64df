"""What one sees while a policy learns from its own answers: numbers by name, and a table of answers with rewards."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from llmcycle.align.experience import Experience
from llmcycle.align.kl import k3
from llmcycle.align.rollouts import Rollouts

SHOWN = 4  # answers of a batch that are kept in the table
LENGTH = 200  # characters of a prompt or an answer in it


class Scored(NamedTuple):
    """What a policy finds of answers, both [B, T - 1] in nats.

    Args:
        logprobs: of each token given those before it.
        entropies: of the distribution that the token is drawn from.
    """

    logprobs: Tensor
    entropies: Tensor


def seen(
    experience: Experience,
    group_size: int,
    now: Scored,
    old: Tensor,
    ref: Tensor | None,
    clipped: Tensor,
    mask: Tensor,
) -> dict[str, Tensor]:
    """Values to log.

    Of all answers: `reward` and `reward_std`, of several rewards each by name; `same`, the share of groups whose
    answers have one reward; `length` in tokens; `ended`, the share that was not cut. Of those read in this step, as
    means over tokens in nats: `entropy`, `kl` to the reference (k3), `moved` (k3 to the policy that sampled);
    `clipped`, the share whose ratio is clipped.
    """
    groups = experience.rewards.view(-1, group_size)
    logprobs, tokens = now.logprobs.detach(), mask.sum().clamp(min=1)
    values = {
        "reward": experience.rewards.mean(),
        "reward_std": experience.rewards.std(correction=0),
        "same": (groups.amax(1) == groups.amin(1)).float().mean(),
        "length": _lengths(experience).mean(),
        "ended": torch.tensor(experience.rollouts.ended),
        "entropy": (now.entropies.detach() * mask).sum() / tokens,
        "moved": (k3(logprobs, old) * mask).sum() / tokens,
        "clipped": (clipped.expand_as(mask) & mask).sum() / tokens,
    }
    if ref is not None:
        values["kl"] = (k3(logprobs, ref) * mask).sum() / tokens
    if len(experience.scores) > 1:
        for name, scores in experience.scores.items():
            values |= {f"reward_{name}": scores.mean(), f"reward_{name}_std": scores.std(correction=0)}
    if experience.rounds > 1:
        values["rounds"] = torch.tensor(float(experience.rounds))
    return values


def _lengths(experience: Experience) -> Tensor:
    return (experience.rollouts.batch["labels"] >= 0).sum(1).float()


class AnswerTable:
    """Answers and their rewards at intervals, to be read.

    Args:
        every: batches of answers between two that are kept; 0 for none.

    Attributes:
        rows: plain values, in the order of training.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.rows: list[dict[str, Any]] = []

    def keep(
        self,
        step: int,
        updates: int,
        rollouts: Rollouts,
        scores: dict[str, list[float]],
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        """The first answers of a batch, where it is one of those to be kept."""
        if not self.every or (step // updates) % self.every:
            return
        heads = rollouts.batch["input_ids"][:SHOWN], rollouts.batch["labels"][:SHOWN]
        masks = rollouts.batch["attention_mask"][:SHOWN].bool()
        for place, (ids, labels, mask) in enumerate(zip(*heads, masks, strict=True)):
            prompt = tokenizer.decode(ids[mask & (labels < 0)], skip_special_tokens=True)
            rewards = {name: round(values[place], 4) for name, values in scores.items()}
            answer = {"prompt": prompt.strip()[-LENGTH:], "answer": rollouts.texts[place][:LENGTH]}
            self.rows.append({"step": step, **answer, **rewards})
