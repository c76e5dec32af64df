"""What a learner minimises. An objective is one small class: what it reads, the models it uses, and its loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from llmcycle.data.encode import Row
from llmcycle.data.training_data import TrainingData
from llmcycle.engine import Answer
from llmcycle.train.models import POLICY, REFERENCE, Models

Batch = dict[str, Tensor]
Loss = tuple[Tensor, dict[str, Tensor]]  # the scalar to minimise, and further values to log by name


class Objective(ABC):
    """A loss with its needs stated. It holds settings, and no weights: those are in the learner's models.

    Class attributes:
        reads: the kind of batch: "labelled", "packed", "masked", "pairs", "unpaired", "prompts", "rated" or "steps".
        model_kind: one of `llmcycle.abilities`.
        roles: the models that it uses. `policy` is always there, a `reference` is the policy before training; others
            are given to the learner by name.
        trains: those of them that are trained; the others are frozen.
        comparable: whether the loss of a fixed batch means the same before and after training.
        compared: whether the run's memory is set beside that of other ways to train the model.
        calibrates: whether its batches are such that an adapter may start from them.
        needs_positions: whether it tells documents in one row apart by positions, which virtual tokens would move.
        chunks: whether it computes logits over a vocabulary, which `loss_chunk` can cut.
    """

    reads: ClassVar[str]
    model_kind: ClassVar[str] = "causal"
    roles: ClassVar[tuple[str, ...]] = (POLICY,)
    trains: ClassVar[tuple[str, ...]] = (POLICY,)
    comparable: ClassVar[bool] = True
    compared: ClassVar[bool] = False
    calibrates: ClassVar[bool] = False
    needs_positions: ClassVar[bool] = False
    chunks: ClassVar[bool] = True

    @property
    def needs_reference(self) -> bool:
        """Whether the model before training is kept: by `roles`, unless a setting makes it unnecessary."""
        return REFERENCE in self.roles

    @property
    def stores_reference(self) -> bool:
        """Whether log-probabilities of the reference are computed before training, in the place of keeping it."""
        return False

    @abstractmethod
    def loss(self, models: Models, batch: Batch) -> Loss:
        """The scalar to minimise, and further values to log by name."""

    def begin(self, models: Models, batches: TrainingData) -> None:  # noqa: B027  most objectives need nothing else
        """Called when training begins, with the data whose batches are to come; models are where they are trained."""

    def paid(self, rows: Sequence[Row], answers: Sequence[Answer]) -> list[float] | None:  # noqa: ARG002
        """What it pays for one answer to each row of the data; None for one that learns from no such reward."""
        return None

    def tables(self) -> Mapping[str, list[dict[str, Any]]]:
        """Rows of plain values that a reader is to find beside the model, by the name of their file."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold of this objective: plain values and tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Takes what `state_dict` gave."""
