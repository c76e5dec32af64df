"""Learning answers: cross-entropy of the completion given its prompt. Shapes: B rows, T tokens, N labelled tokens."""

from __future__ import annotations

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTuner
from torch import Tensor
from torch.nn.functional import cross_entropy

from llmcycle.data.batches import Batches
from llmcycle.data.chat import IGNORE
from llmcycle.data.training_data import TrainingData
from llmcycle.finetune.proof import refuse_leaking_rows
from llmcycle.train import Models, Objective
from llmcycle.train.cross_entropy import caps_logits, head_cross_entropy, without_head
from llmcycle.train.objective import Batch, Loss


class Supervised(Objective):
    """Mean cross-entropy over a step's labelled tokens, in nats: equal to transformers' loss and TRL's SFTTrainer.

    Only the labelled tokens go through the output layer: prompts and padding cost no logits.
    """

    reads = "labelled"
    calibrates = True
    compared = True

    def begin(self, models: Models, batches: TrainingData) -> None:
        """Nothing is trained on packed rows that this model does not read as if each were alone."""
        if isinstance(batches, Batches) and batches.packed:
            refuse_leaking_rows(models, self.logits, batches.collate_train(batches.train[:1]))

    def loss(self, models: Models, batch: Batch) -> Loss:
        """`batch` is that of an encoder or a packed one. Also the share of labelled tokens ranked first."""
        if takes_own_loss(models):
            output = models.run(**batch, use_cache=False)
            return output.loss, {"token_accuracy": token_accuracy(output.logits.detach(), batch["labels"])}
        count = batch.get("num_items_in_batch")
        if models.loss_chunk is not None:
            hidden, labels = self.hidden(models, batch)
            head = models.policy.get_output_embeddings()
            return head_cross_entropy(hidden, head, labels, models.loss_chunk, count=count)[0], {}
        logits, labels = self.logits(models, batch)
        total = max(len(labels), 1) if count is None else count
        ranked_first = (logits.detach().argmax(-1) == labels).float().sum() / max(len(labels), 1)
        return cross_entropy(logits, labels, reduction="sum") / total, {"token_accuracy": ranked_first}

    def logits(self, models: Models, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits [N, V] in fp32 at the places that are to predict a label, and the labels [N]."""
        if caps_logits(models.policy):
            logits, labels = at_labels(forward(models, batch), batch["labels"])
            return logits.float(), labels
        hidden, labels = self.hidden(models, batch)
        return models.policy.get_output_embeddings()(hidden).float(), labels

    def hidden(self, models: Models, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the output layer is to be given at those places, [N, D], and the labels [N]."""
        with without_head(models.policy):
            return at_labels(forward(models, batch), batch["labels"])


def takes_own_loss(models: Models) -> bool:
    """Whether the model's own loss is taken: some methods add to it (AdaLoRA's orthogonality), or replace it."""
    model = models.policy
    adapted = isinstance(model, PeftModel) and isinstance(model.base_model, BaseTuner)
    return not models.takes_positions or (adapted and type(model.base_model).forward is not BaseTuner.forward)


def forward(models: Models, batch: Batch) -> Tensor:
    """The policy's output [B, T, V], or [B, T, D] where its output layer is taken off."""
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids") if name in batch}
    logits: Tensor = models.run(**inputs, use_cache=False).logits
    return logits


def at_labels(output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of `output` at the places that are to predict a label, and the labels [N]."""
    targets = labels[:, 1:].flatten()
    known = targets != IGNORE
    return output[:, -labels.shape[1] : -1].flatten(0, 1)[known], targets[known]


def token_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of labelled tokens that have the highest logit. Logits [B, P + T, V] may begin with P virtual tokens."""
    predicted = logits[:, -labels.shape[1] : -1].argmax(-1)
    targets = labels[:, 1:]
    known = targets >= 0
    return (predicted == targets)[known].float().sum() / known.sum().clamp(min=1)
