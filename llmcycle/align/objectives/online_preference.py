"""Preference learning from the policy's own answers: the best and the worst of each group are a pair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from llmcycle.align.dynamic import Draw
from llmcycle.align.experience import rows_of
from llmcycle.align.losses import Answers, PreferenceLoss
from llmcycle.align.objectives.own_answers import OwnAnswers
from llmcycle.align.objectives.preference import answers, sides, watched
from llmcycle.train import Models
from llmcycle.train.logprobs import completion_mask
from llmcycle.train.objective import Batch, Loss


class OnlinePreference(OwnAnswers):
    """Online DPO, arXiv:2402.04792, with a reward in the place of the judge; or any other loss of pairs.

    Args:
        loss: of a pair. Answers that earn the same are no pair.
        own_answers: the further arguments of `OwnAnswers`.
    """

    def __init__(self, loss: PreferenceLoss, **own_answers: Any) -> None:
        super().__init__(**own_answers)
        self.pair_loss = loss
        self.pairs: dict[str, Any] | None = None

    @property
    def needs_reference(self) -> bool:
        """As the loss states it."""
        return bool(getattr(self.pair_loss, "needs_reference", True))

    def state_dict(self) -> dict[str, Any]:
        """Pairs that are not yet used up came from weights which are gone by now."""
        return {**super().state_dict(), "pairs": self.pairs if self.steps % self.updates else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        super().load_state_dict(state)
        self.pairs = state["pairs"]

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Loss; what a preference objective logs, and of the answers drawn `reward`, `same`, `length` and `ended`."""
        if not models.training:
            pairs = self.paired(models, batch, self.seed)
        else:
            if self.pairs is None or self.steps % self.updates == 0:
                self.pairs = self.paired(models, batch, self.seed + 1 + self.steps)
            self.steps += 1
            pairs = self.pairs
        chosen, rejected = self.sides(models, pairs["batch"], pairs["differ"])
        return self.pair_loss(chosen, rejected).mean(), {**watched(chosen, rejected), **pairs["seen"]}

    def paired(self, models: Models, batch: Batch, seed: int) -> dict[str, Any]:
        """Fresh answers as one batch of pairs: the best of each group, then the worst; and which of them differ."""
        draw, _ = self.drawn(models, batch, seed)
        rollouts, scores = draw
        groups = rewards_of(draw).view(-1, self.sampling.group_size)
        starts = torch.arange(len(groups)) * self.sampling.group_size
        places = torch.cat([starts + groups.argmax(1), starts + groups.argmin(1)])
        differ = groups.amax(1) > groups.amin(1)
        lengths = completion_mask(rollouts.batch).sum(1).float()
        seen = {
            "reward": groups.mean(),
            "reward_std": groups.std(correction=0),
            "same": 1 - differ.float().mean(),
            "length": lengths.mean().cpu(),
            "ended": torch.tensor(rollouts.ended),
        }
        if len(scores) > 1:
            seen |= {f"reward_{name}": torch.tensor(values).mean() for name, values in scores.items()}
        pairs = {name: rows_of(value, places) for name, value in rollouts.batch.items()}
        return {"batch": pairs, "differ": differ, "seen": seen}

    def sides(self, models: Models, pairs: Batch, differ: Tensor) -> tuple[Answers, Answers]:
        """Both sides of those pairs that differ; of all, without a gradient from ties, where none does."""
        weighted = getattr(self.pair_loss, "weighted", False)
        through, temperature = self.through(models, pairs), self.sampling.temperature
        both = answers(models, pairs, self.needs_reference, weighted, through, drawn_at=temperature)
        keep = differ.nonzero().flatten()
        if len(keep):
            return sides(both, keep)
        # A loss of nothing, with a gradient that processes can reduce together.
        return sides(replace(both, logprobs=both.logprobs.detach() + 0.0 * both.logprobs))


def rewards_of(draw: Draw) -> Tensor:
    """[B] the sum of all rewards of each answer."""
    return torch.tensor([sum(values) for values in zip(*draw.scores.values(), strict=True)])
