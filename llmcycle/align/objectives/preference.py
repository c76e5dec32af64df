"""Learning from preference pairs without a reward model: DPO and its variants, by `loss`."""

from __future__ import annotations

from llmcycle.align.losses import Answers, PreferenceLoss
from llmcycle.train import Models, Objective
from llmcycle.train.logprobs import completion_mask, token_logprobs
from llmcycle.train.objective import Batch, Loss


class Preference(Objective):
    """A policy against its starting self on batches of the `Preference` encoder: B chosen rows, B rejected.

    Args:
        loss: of a pair, e.g. DPO.
    """

    reads = "pairs"
    roles = ("policy", "reference")

    def __init__(self, loss: PreferenceLoss) -> None:
        self.pair_loss = loss

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Loss; share of pairs ordered right by the implicit reward, its margin and log-ratios in nats."""
        chosen, rejected = self.answers(models, batch)
        margins = (chosen.logratios - rejected.logratios).detach()
        return self.pair_loss(chosen, rejected).mean(), {
            "accuracy": (margins > 0).float().mean(),
            "margin": margins.mean(),
            "chosen": chosen.logratios.detach().mean(),
            "rejected": rejected.logratios.detach().mean(),
        }

    def answers(self, models: Models, batch: Batch) -> tuple[Answers, Answers]:
        """Both sides of the batch's pairs."""
        assert models.reference is not None
        logprobs = token_logprobs(models.policy, batch, chunk=models.loss_chunk, run=models.run).sum(1).chunk(2)
        ref_logprobs = models.reference.logprobs(batch).chunk(2)
        lengths = completion_mask(batch).sum(1).chunk(2)
        chosen, rejected = (Answers(*side) for side in zip(logprobs, ref_logprobs, lengths, strict=True))
        return chosen, rejected
