"""What pre-training minimises: the loss of predicting each next token, or each hidden one, in packed documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel

from llmcycle.model.document_mask import document_mask
from llmcycle.train import TrainedModule
from llmcycle.train.cross_entropy import head_cross_entropy, without_head

TARGETS = ("labels", "num_items_in_batch")  # what only the loss is given of a batch

TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


class NextToken(TrainedModule):
    """Cross-entropy of every token given those before it in its document, in nats a token.

    It is transformers' own loss, unless `z_loss` or `loss_chunk` ask for more; equal to it to rounding.

    Args:
        z_loss: weight of the mean squared log-partition, which keeps logits from drifting (PaLM, arXiv:2204.02311,
            section 5: 1e-4).
        loss_chunk: tokens whose logits exist at once; None for all. For large vocabularies.
        gradient_checkpointing: activations are computed again for the gradient instead of being kept.
        compile: the model's forward and backward pass by `torch.compile`.
    """

    shift = 1  # places from a prediction to its label

    def __init__(
        self,
        model: PreTrainedModel,
        optim: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        z_loss: float = 0.0,
        loss_chunk: int | None = None,
        gradient_checkpointing: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__(model, optim, schedule)
        if loss_chunk is not None and loss_chunk < 1:
            raise ValueError(f"module.loss_chunk={loss_chunk}: at least one token's logits are needed, or null for all")
        self.z_loss, self.loss_chunk = z_loss, loss_chunk
        if gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.compiled = compile
        self.run: Callable[..., Any] = torch.compile(self.forward) if compile else self.forward

    @property
    def plain(self) -> bool:
        """Whether transformers' own loss is all that is asked for."""
        return not self.z_loss and self.loss_chunk is None

    def forward(self, **inputs: Any) -> Any:
        """The model's output."""
        return self.model(**inputs)

    def inputs(self, batch: dict[str, Tensor]) -> dict[str, Any]:
        """What the model's layers are given of a batch."""
        given = {name: value for name, value in batch.items() if name not in TARGETS}
        return {**given, "use_cache": False, **({"output_router_logits": True} if self.balanced else {})}

    @property
    def balanced(self) -> bool:
        """Whether this is a mixture of experts with a load-balancing loss.

        It is asked for here, since transformers cannot generate with a configuration that always asks for it.
        """
        return bool(getattr(self.model.config, "router_aux_loss_coef", 0.0))

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """`batch` is that of `llmcycle.data.encode.Packed`. With a z-loss, its nats a token are logged apart."""
        inputs, labels = self.inputs(batch), batch["labels"]
        if self.plain:
            return self.run(**inputs, **{name: batch[name] for name in TARGETS if name in batch}).loss, {}
        with without_head(self.model) as head:
            output = self.run(**inputs)
        hidden = output.logits[:, : labels.shape[1] - self.shift].flatten(0, 1)
        targets, count = labels[:, self.shift :].flatten(), batch.get("num_items_in_batch")
        loss, nats = head_cross_entropy(hidden, head, targets, self.loss_chunk, self.z_loss, count)
        return loss + self._balance(output), {"nats": nats.detach()} if self.z_loss else {}

    def _balance(self, output: Any) -> Tensor | float:
        """The load-balancing loss of a mixture of experts, which transformers adds only where it is given labels."""
        auxiliary: Tensor | None = getattr(output, "aux_loss", None)
        return 0.0 if auxiliary is None else self.model.config.router_aux_loss_coef * auxiliary


class MaskedToken(NextToken):
    """Cross-entropy of the hidden tokens of `llmcycle.data.masked.Masked`, given all others of their document.

    Only they go through the output layer, and a loss over several parts of a step weighs them all alike, which the
    losses of transformers' masked models do not.
    """

    shift = 0
    plain = False

    def on_fit_start(self) -> None:
        """A bare configuration knows no token ids: it gets the tokenizer's."""
        super().on_fit_start()
        tokenizer = self.trainer.datamodule.tokenizer  # type: ignore[attr-defined]
        self.model.config.update({name: getattr(tokenizer, name) for name in TOKEN_IDS})

    def inputs(self, batch: dict[str, Tensor]) -> dict[str, Any]:
        """Tokens, positions, and a mask that keeps packed documents apart."""
        positions = batch["position_ids"]
        mask = document_mask(self.model.config, positions)
        return {"input_ids": batch["input_ids"], "position_ids": positions, "attention_mask": mask}
