"""A process reward model: a classifier of tokens, read where a step ends, trained on which steps are right."""

from __future__ import annotations

from llmcycle.align.losses import StepLoss
from llmcycle.data.chat import IGNORE
from llmcycle.train import Models, Objective
from llmcycle.train.objective import Batch, Loss


class ProcessRewardModel(Objective):
    """A scorer of steps on batches of the `Steps` encoder. A causal model reads a step without those after it.

    Args:
        loss: of a step's logit and its label, e.g. binary cross-entropy.
    """

    reads = "steps"
    model_kind = "token_classifier"
    chunks = False

    def __init__(self, loss: StepLoss) -> None:
        self.step_loss = loss

    def loss(self, models: Models, batch: Batch) -> Loss:
        """Loss, a mean over all steps of the batch; the share of steps that are judged right."""
        outputs = models.run(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        logits_BT = outputs.logits[:, -batch["input_ids"].shape[1] :].squeeze(-1).float()  # no virtual tokens
        at_steps = batch["step_labels"] != IGNORE
        logits_N, right_N = logits_BT[at_steps], batch["step_labels"][at_steps].float()
        accuracy = ((logits_N > 0) == right_N.bool()).float().mean()
        return self.step_loss(logits_N, right_N).mean(), {"accuracy": accuracy}
