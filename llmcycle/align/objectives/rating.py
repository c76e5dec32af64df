"""A reward model from ratings: a language model with one output, trained to give what people gave."""

from __future__ import annotations

from llmcycle.align.losses import RatingLoss
from llmcycle.train import Models, Objective
from llmcycle.train.objective import Batch, Loss


class RatingModel(Objective):
    """A scorer on batches of the `Rated` encoder.

    Args:
        loss: of a score and its rating, e.g. their squared difference.
    """

    reads = "rated"
    model_kind = "classifier"
    chunks = False

    def __init__(self, loss: RatingLoss) -> None:
        self.rating_loss = loss

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Loss; the mean absolute error and the mean score, in units of the rating."""
        logits = models.run(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        rewards, ratings = logits.float().squeeze(-1), batch["rating"]
        return self.rating_loss(rewards, ratings).mean(), {
            "absolute_error": (rewards - ratings).detach().abs().mean(),
            "reward": rewards.detach().mean(),
        }
