"""What pre-training minimises: the loss of predicting each next token, or each hidden one, in packed documents."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from llmcycle.data.training_data import TrainingData
from llmcycle.model.document_mask import document_mask
from llmcycle.quantities import NotNegative
from llmcycle.train import Models, Objective
from llmcycle.train.cross_entropy import head_cross_entropy, without_head
from llmcycle.train.objective import Batch, Loss

TARGETS = ("labels", "num_items_in_batch")  # what only the loss is given of a batch
TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


class NextToken(Objective):
    """Cross-entropy of every token given those before it in its document, in nats a token.

    It is transformers' own loss, unless a z-loss or the learner's `loss_chunk` ask for more; equal to it to rounding.

    Args:
        z_loss: weight of the mean squared log-partition, which keeps logits from drifting (PaLM, arXiv:2204.02311,
            section 5: 1e-4).
    """

    reads = "packed"
    needs_positions: ClassVar[bool] = True
    shift: ClassVar[int] = 1  # places from a prediction to its label

    def __init__(self, z_loss: NotNegative = 0.0) -> None:
        self.z_loss = z_loss

    def begin(self, models: Models, batches: TrainingData) -> None:  # noqa: ARG002
        """Raise ValueError for an adapter under which documents in one row can't be told apart."""
        if models.virtual:
            raise ValueError(
                "peft: it puts virtual tokens before a row, and drops the positions that keep its documents apart; "
                "choose peft=none, or one that trains weights, such as peft=lora"
            )

    def plain(self, models: Models) -> bool:
        """Whether transformers' own loss is all that is asked for."""
        return not self.z_loss and models.loss_chunk is None

    def inputs(self, models: Models, batch: Batch) -> dict[str, Any]:
        """What the model's layers are given of a batch."""
        inputs = {name: value for name, value in batch.items() if name not in TARGETS}
        return {**inputs, "use_cache": False, **({"output_router_logits": True} if balanced(models) else {})}

    def loss(self, models: Models, batch: Batch) -> Loss:
        """`batch` is that of `llmcycle.data.encode.Packed`. With a z-loss, its nats a token are logged apart."""
        inputs, labels = self.inputs(models, batch), batch["labels"]
        if self.plain(models):
            return models.run(**inputs, **{name: batch[name] for name in TARGETS if name in batch}).loss, {}
        with without_head(models.policy) as head:
            output = models.run(**inputs)
        hidden = output.logits[:, : labels.shape[1] - self.shift].flatten(0, 1)
        targets, count = labels[:, self.shift :].flatten(), batch.get("num_items_in_batch")
        loss, nats = head_cross_entropy(hidden, head, targets, models.loss_chunk, self.z_loss, count)
        return loss + balance(models, output), {"nats": nats.detach()} if self.z_loss else {}


class MaskedToken(NextToken):
    """Cross-entropy of the hidden tokens of `llmcycle.data.masked.Masked`, given all others of their document.

    Only they go through the output layer, and a loss over several parts of a step weighs them all alike, which the
    losses of transformers' masked models do not.
    """

    reads = "masked"
    model_kind = "masked"
    shift = 0

    def begin(self, models: Models, batches: TrainingData) -> None:
        """A bare configuration knows no token ids: it gets the tokenizer's."""
        super().begin(models, batches)
        models.policy.config.update({name: getattr(batches.tokenizer, name) for name in TOKEN_IDS})

    def plain(self, models: Models) -> bool:  # noqa: ARG002
        """Never: see the class."""
        return False

    def inputs(self, models: Models, batch: Batch) -> dict[str, Any]:
        """Tokens, positions, and a mask that keeps packed documents apart."""
        positions = batch["position_ids"]
        mask = document_mask(models.policy.config, positions)
        return {"input_ids": batch["input_ids"], "position_ids": positions, "attention_mask": mask}


def balanced(models: Models) -> bool:
    """Whether the policy is a mixture of experts with a load-balancing loss.

    It is asked for here, since transformers cannot generate with a configuration that always asks for it.
    """
    return bool(getattr(models.policy.config, "router_aux_loss_coef", 0.0))


def balance(models: Models, output: object) -> Tensor | float:
    """The load-balancing loss of a mixture of experts, which transformers adds only where it is given labels."""
    auxiliary: Tensor | None = getattr(output, "aux_loss", None)
    return 0.0 if auxiliary is None else models.policy.config.router_aux_loss_coef * auxiliary
