"""Learning answers: cross-entropy of the completion given its prompt. Shapes: B rows, T tokens, N labelled tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from peft.tuners.tuners_utils import BaseTuner
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel

from llmcycle.data.chat import IGNORE
from llmcycle.finetune.proof import refuse_leaking_rows
from llmcycle.train import TrainedModule
from llmcycle.train.cross_entropy import head_cross_entropy, without_head


class Supervised(TrainedModule):
    """Mean cross-entropy over a step's labelled tokens, in nats: equal to transformers' loss and TRL's SFTTrainer.

    Only the labelled tokens go through the output layer: prompts and padding cost no logits.

    Args:
        loss_chunk: labelled tokens whose logits exist at once; None for all. For large vocabularies.
        gradient_checkpointing: activations are computed again for the gradient instead of being kept.
        frozen: patterns on names of parameters that are not trained: see `llmcycle.model.freeze`.
    """

    calibrates = True
    compared = True

    def __init__(
        self,
        model: PreTrainedModel,
        optim: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        peft: PeftConfig | None = None,
        loss_chunk: int | None = None,
        gradient_checkpointing: bool = False,
        frozen: Sequence[str] = (),
    ) -> None:
        super().__init__(model, optim, schedule, peft, frozen)
        if loss_chunk is not None and loss_chunk < 1:
            raise ValueError(f"module.loss_chunk={loss_chunk}: at least one token's logits are needed, or null for all")
        self.loss_chunk = loss_chunk
        if gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})

    def on_fit_start(self) -> None:
        """Lightning's hook: nothing is trained on packed rows that this model does not read as if each were alone."""
        super().on_fit_start()
        batches: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if getattr(batches, "packed", False):
            refuse_leaking_rows(self, batches.collate_train(batches.train[:1]))

    @property
    def packs(self) -> bool:
        """Whether positions may be given: peft drops them where virtual tokens come first; shards meet in one pass."""
        virtual = getattr(getattr(self.model, "active_peft_config", None), "is_prompt_learning", False)
        return not virtual and not self.skeleton

    @property
    def own_loss(self) -> bool:
        """Whether the model's own loss is taken: some methods add to it (AdaLoRA's orthogonality), or replace it."""
        adapted = isinstance(self.model, PeftModel) and isinstance(self.model.base_model, BaseTuner)
        return not self.packs or (adapted and type(self.model.base_model).forward is not BaseTuner.forward)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """`batch` is that of an encoder or a packed one. Also the share of labelled tokens ranked first."""
        if self.own_loss:
            output = self.model(**batch, use_cache=False)
            return output.loss, {"token_accuracy": token_accuracy(output.logits.detach(), batch["labels"])}
        count = batch.get("num_items_in_batch")
        if self.loss_chunk is not None:
            hidden, labels = self.hidden(batch)
            head = self.model.get_output_embeddings()
            return head_cross_entropy(hidden, head, labels, self.loss_chunk, count=count)[0], {}
        logits, labels = self.logits(batch)
        total = max(len(labels), 1) if count is None else count
        ranked_first = (logits.detach().argmax(-1) == labels).float().sum() / max(len(labels), 1)
        return cross_entropy(logits, labels, reduction="sum") / total, {"token_accuracy": ranked_first}

    def logits(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [N, V] in fp32 at the places that are to predict a label, and the labels [N]."""
        if getattr(self.model.config.get_text_config(), "final_logit_softcapping", None):
            found, labels = self._at_labels(self._output(batch), batch["labels"])
            return found.float(), labels
        hidden, labels = self.hidden(batch)
        return self.model.get_output_embeddings()(hidden).float(), labels

    def hidden(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What the output layer is to be given at those places, [N, D], and the labels [N]."""
        with without_head(self.model):
            return self._at_labels(self._output(batch), batch["labels"])

    def _output(self, batch: dict[str, Tensor]) -> Tensor:
        given = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids") if name in batch}
        logits: Tensor = self.model(**given, use_cache=False).logits
        return logits

    @staticmethod
    def _at_labels(output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        targets = labels[:, 1:].flatten()
        known = targets != IGNORE
        return output[:, -labels.shape[1] : -1].flatten(0, 1)[known], targets[known]


def token_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of labelled tokens that have the highest logit. Logits [B, P + T, V] may begin with P virtual tokens."""
    predicted = logits[:, -labels.shape[1] : -1].argmax(-1)
    targets = labels[:, 1:]
    known = targets >= 0
    return (predicted == targets)[known].float().sum() / torch.clamp(known.sum(), min=1)
