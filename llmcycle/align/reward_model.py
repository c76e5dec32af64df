"""A reward model: a language model with one output, trained to score the chosen answer above the rejected one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from peft import PeftConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from llmcycle.align.losses import BradleyTerry
from llmcycle.data.chat import choose_pad
from llmcycle.train import TrainedModule


def scorer(pretrained_model_name_or_path: str, dtype: str | torch.dtype = "float32") -> PreTrainedModel:
    """The body of a language model with a fresh head of one output, read at the last token that is no padding."""
    tokenizer = choose_pad(AutoTokenizer.from_pretrained(pretrained_model_name_or_path))
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        pretrained_model_name_or_path, num_labels=1, pad_token_id=tokenizer.pad_token_id, dtype=dtype
    )
    return model


class RewardModel(TrainedModule):
    """Trains a scorer on batches of the `Preference` encoder: B chosen rows, then B rejected ones."""

    def __init__(
        self,
        model: PreTrainedModel,
        loss: BradleyTerry,
        optim: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        peft: PeftConfig | None = None,
    ) -> None:
        super().__init__(model, optim, schedule, peft)
        self.objective = loss

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss; the share of pairs ordered right, and by how much (in units of reward, i.e. nats)."""
        scores = self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        chosen, rejected = scores.float().squeeze(-1).chunk(2)
        margins = (chosen - rejected).detach()
        return self.objective(chosen, rejected).mean(), {
            "accuracy": (margins > 0).float().mean(),
            "margin": margins.mean(),
        }
