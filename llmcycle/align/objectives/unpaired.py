"""Learning from answers that are good or bad by themselves: KTO and its like, by `loss`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from llmcycle.align.losses import Answers
from llmcycle.align.losses.unpaired import UnpairedLoss
from llmcycle.align.objectives.against_reference import AgainstReference, ReferenceKind
from llmcycle.align.objectives.preference import answers
from llmcycle.data.training_data import TrainingData
from llmcycle.data.unpaired import MISMATCHED
from llmcycle.train import Models
from llmcycle.train.logprobs import token_logprobs
from llmcycle.train.objective import Batch, Loss

SEQUENCES = ("input_ids", "attention_mask", "labels")


class Unpaired(AgainstReference):
    """A policy against its starting self on batches of the `Unpaired` encoder.

    Args:
        loss: of an answer, e.g. KTO.
        reference: see `AgainstReference`; KTO's point needs a live one, since rows are crossed anew in each batch.

    Attributes:
        running: the log-ratio in nats of a middling answer, over the batches so far; None before the first.
    """

    reads = "unpaired"

    def __init__(self, loss: UnpairedLoss, reference: ReferenceKind = "live") -> None:
        super().__init__(loss, reference)
        self.row_loss = loss
        self.running: Tensor | None = None

    def begin(self, models: Models, batches: TrainingData) -> None:
        """Refuse batches whose rows can't be crossed; see also `AgainstReference.begin`.

        Raises:
            ValueError: the loss needs two rows a batch.
        """
        if self.point_is == "kl" and batches.batch_size < 2:
            raise ValueError(
                "batches.batch_size=1: this loss estimates its reference point from a prompt with another row's "
                "completion; set batches.batch_size=2, or more"
            )
        super().begin(models, batches)

    def state_dict(self) -> dict[str, Any]:
        """The running reference point, where there is one."""
        return {**super().state_dict(), "running": self.running}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        super().load_state_dict(state)
        self.running = state["running"]

    @property
    def point_is(self) -> str:
        """What kind of reference point the loss states."""
        return getattr(self.row_loss, "reference_point", "none")

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Loss; what to watch of both kinds of answers: see `watched`, and the reference point in nats."""
        own, desirable = answers(models, {name: batch[name] for name in SEQUENCES}), batch["desirable"]
        point = self.point(models, batch, own.logratios.detach())
        loss = self.row_loss(own, desirable, point).mean()
        return loss, {**watched(own, desirable, point), "reference_point": point}

    def point(self, models: Models, batch: Batch, logratios: Tensor) -> Tensor:
        """[] the log-ratio in nats that answers are measured from, from the log-ratios [B] of this batch."""
        if self.point_is == "kl":
            return crossed_kl(models, batch)
        if self.point_is == "running":
            return self.moved(middle(logratios, batch["desirable"]), models.training)
        return logratios.new_zeros(())

    def moved(self, now: Tensor, training: bool) -> Tensor:
        """The running point with this batch in it; outside of training it stays as it is."""
        if not training:
            return torch.zeros_like(now) if self.running is None else self.running.to(now.device)
        decay = float(getattr(self.row_loss, "decay", 0.0))
        before = now if self.running is None else self.running.to(now.device)
        self.running = decay * before + (1 - decay) * now
        return self.running


@torch.no_grad()
def crossed_kl(models: Models, batch: Batch) -> Tensor:
    """[] mean log-ratio of prompts with other rows' completions, at least 0: arXiv:2402.01306, section 4.2.

    A batch of one row, as where rows are scored one by one, has no other completion: 0.
    """
    if len(batch["input_ids"]) < 2:
        return torch.zeros((), device=batch["input_ids"].device)
    assert models.reference is not None
    crossed = {name: batch[f"{MISMATCHED}{name}"] for name in SEQUENCES}
    logprobs = token_logprobs(models.policy, crossed, chunk=models.loss_chunk).sum(1)
    return (logprobs - models.reference.token_logprobs(crossed).sum(1)).mean().clamp(min=0)


def middle(logratios: Tensor, desirable: Tensor) -> Tensor:
    """[] half way between the means of both kinds; the mean of one where a batch lacks the other."""
    kinds = [logratios[desirable], logratios[~desirable]]
    return torch.stack([kind.mean() for kind in kinds if len(kind)]).mean()


def watched(own: Answers, desirable: Tensor, point: Tensor) -> dict[str, Tensor]:
    """Means over a batch, to be logged: 0 of a kind that the batch lacks.

    The share of answers whose log-ratio lies on its own side of the reference point, the margin between both kinds,
    and of each kind the log-ratio and the log-probability in nats, and tokens.
    """
    logratios, logprobs = own.logratios.detach(), own.logprobs.detach()
    kinds = {"desirable": desirable, "undesirable": ~desirable}
    ratios = {name: _mean(logratios, kind) for name, kind in kinds.items()}
    return {
        "accuracy": ((logratios > point) == desirable).float().mean(),
        "margin": ratios["desirable"] - ratios["undesirable"],
        **ratios,
        **{f"{name}_logprobs": _mean(logprobs, kind) for name, kind in kinds.items()},
        **{f"{name}_length": _mean(own.lengths.float(), kind) for name, kind in kinds.items()},
    }


def _mean(values: Tensor, kind: Tensor) -> Tensor:
    return (values * kind).sum() / kind.sum().clamp(min=1)
