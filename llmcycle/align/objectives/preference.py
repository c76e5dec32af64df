"""Learning from preference pairs without a reward model: DPO and its variants, by `loss`."""

from __future__ import annotations

from itertools import islice
from typing import Any

from torch import Tensor

from llmcycle.align.losses import Answers, PreferenceLoss
from llmcycle.align.objectives.against_reference import AgainstReference, ReferenceKind
from llmcycle.data.training_data import TrainingData
from llmcycle.train import Models
from llmcycle.train.logprobs import Through, as_it_is, completion_mask, log_collision, token_logprobs_with
from llmcycle.train.objective import Batch, Loss
from llmcycle.train.shared_prompts import refuse_shared, sharing

PROVED = 4  # pairs by which a model is tried on shared rows


class Preference(AgainstReference):
    """A policy, against its starting self where the loss asks for that, on batches of the `Preference` encoder.

    A batch holds B chosen rows, then B rejected ones.

    Args:
        loss: of a pair, e.g. DPO. One that states `needs_reference = False` costs no second model.
        reference: see `AgainstReference`.
        share_prompts: both answers of a pair stand in one row behind one prompt, so that the prompt is read once and
            little is padding; each is read as if the other were not there, which is proved before training.
    """

    reads = "pairs"

    def __init__(self, loss: PreferenceLoss, reference: ReferenceKind = "live", share_prompts: bool = False) -> None:
        super().__init__(loss, reference)
        self.pair_loss, self.share_prompts = loss, share_prompts

    def begin(self, models: Models, batches: TrainingData) -> None:
        """Nothing is trained on shared rows that this model does not read as if each answer were alone."""
        super().begin(models, batches)
        if self.share_prompts:
            batch = batches.collate(list(islice(batches.train, PROVED)))
            refuse_shared(models, {name: tensor.to(models.device) for name, tensor in batch.items()})

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Loss; what to watch of each side: see `watched`."""
        chosen, rejected = self.answers(models, batch)
        return self.pair_loss(chosen, rejected).mean(), watched(chosen, rejected)

    def answers(self, models: Models, batch: Batch) -> tuple[Answers, Answers]:
        """Both sides of the batch's pairs."""
        weighted = getattr(self.pair_loss, "weighted", False)
        through = sharing(batch) if self.share_prompts else as_it_is
        return sides(answers(models, batch, self.needs_reference, weighted, through))


def answers(
    models: Models,
    batch: Batch,
    reference: bool = True,
    weighted: bool = False,
    through: Through = as_it_is,
    drawn_at: float | None = None,
) -> Answers:
    """All B rows of a batch.

    Args:
        reference, weighted: whether the loss reads that.
        through: gives a model's forward pass for these rows.
        drawn_at: the temperature at which the policy drew these answers itself; None for rows of the data, which come
            back every epoch, so that the reference's view of them is remembered.
    """
    statistic = log_collision if weighted else None
    logprobs_BT, collisions_BT = token_logprobs_with(
        statistic, models.policy, batch, drawn_at or 1.0, models.loss_chunk, through(models.policy, models.run)
    )
    logprobs, lengths = logprobs_BT.sum(1), completion_mask(batch).sum(1)
    confidence = (logprobs.detach() - collisions_BT.sum(1)) / lengths if weighted else None
    ref_logprobs = None
    if reference:
        assert models.reference is not None
        fresh = drawn_at is not None
        known = models.reference
        ref_logprobs = (
            known.token_logprobs(batch, drawn_at or 1.0, through).sum(1) if fresh else known.logprobs(batch, through)
        )
    return Answers(logprobs, ref_logprobs, lengths, confidence)


def sides(both: Answers, keep: Tensor | None = None) -> tuple[Answers, Answers]:
    """The first half of 2B rows, which are chosen, and the second; of each the places to `keep`, or all."""

    def half(field: Tensor | None, number: int) -> Any:
        rows = None if field is None else field.chunk(2)[number]
        return rows if rows is None or keep is None else rows[keep]

    fields = both.logprobs, both.ref_logprobs, both.lengths, both.confidence
    chosen, rejected = (Answers(*(half(field, number) for field in fields)) for number in (0, 1))
    return chosen, rejected


def watched(chosen: Answers, rejected: Answers) -> dict[str, Tensor]:
    """Means over pairs, to be logged.

    The share ordered right by the implicit reward, its margin and both log-ratios to the reference in nats; without a
    reference the reward is the mean log-probability of a token, as in SimPO. Of each side the log-probability of the
    whole answer in nats, which falls for chosen answers too where a loss looks at margins alone, and its tokens.
    """
    sides = {"chosen": chosen, "rejected": rejected}
    rewards = {name: _implicit_reward(side) for name, side in sides.items()}
    margins = rewards["chosen"] - rewards["rejected"]
    return {
        "accuracy": (margins > 0).float().mean(),
        "margin": margins.mean(),
        **{name: reward.mean() for name, reward in rewards.items()},
        **{f"{name}_logprobs": side.logprobs.detach().mean() for name, side in sides.items()},
        **{f"{name}_length": side.lengths.float().mean() for name, side in sides.items()},
    }


def _implicit_reward(side: Answers) -> Tensor:
    return (side.logprobs / side.lengths if side.ref_logprobs is None else side.logratios).detach()
