"""A reward model: a language model with one output, trained to score the chosen answer above the rejected one."""

from __future__ import annotations

from llmcycle.align.losses import RewardLoss
from llmcycle.train import Models, Objective
from llmcycle.train.objective import Batch, Loss


class RewardModel(Objective):
    """A scorer on batches of the `Preference` encoder, perhaps with margins: B chosen rows, then B rejected ones.

    Args:
        loss: of a pair of scores, e.g. Bradley-Terry's.
    """

    reads = "pairs"
    model_kind = "classifier"
    chunks = False

    def __init__(self, loss: RewardLoss) -> None:
        self.pair_loss = loss

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Loss; the share of pairs ordered right, and by how much (in units of reward, i.e. nats)."""
        scores = models.run(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        chosen, rejected = scores.float().squeeze(-1).chunk(2)
        margins = (chosen - rejected).detach()
        return self.pair_loss(chosen, rejected, batch.get("margin")).mean(), {
            "accuracy": (margins > 0).float().mean(),
            "margin": margins.mean(),
        }
