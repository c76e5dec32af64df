"""An unpaired objective with its encoder: answers that are good or bad by themselves, as in KTO (arXiv:2402.01306)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import PreTrainedTokenizerBase

from llmcycle.data.encode import Completion, Example, Row, supervised_batch
from llmcycle.train import Models, Objective
from llmcycle.train.logprobs import token_logprobs
from llmcycle.train.objective import Batch, Loss


class Labelled(Completion):
    """Rows {"prompt", "completion", "good"}."""

    gives = "unpaired"

    def encode(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Example]:
        return [{**example, "good": rows[example["index"]]["good"]} for example in super().encode(rows, tokenizer)]

    def collate(self, examples: Sequence[Example], pad_token_id: int) -> dict[str, Tensor]:
        good = torch.tensor([1.0 if example["good"] else -1.0 for example in examples])
        return {**supervised_batch(examples, pad_token_id), "good": good}


class Unpaired(Objective):
    """Raises log pi / pi_ref of good answers and lowers it of bad ones, each through a sigmoid."""

    reads = "unpaired"
    roles = ("policy", "reference")

    def __init__(self, beta: float = 0.1) -> None:
        self.beta = beta

    def loss(self, models: Models, batch: Batch) -> Loss:
        assert models.reference is not None
        known: dict[str, Any] = {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}
        logratios = token_logprobs(models.policy, known, run=models.run).sum(1) - models.reference.logprobs(known)
        return -logsigmoid(self.beta * batch["good"] * logratios).mean(), {"logratio": logratios.detach().mean()}
