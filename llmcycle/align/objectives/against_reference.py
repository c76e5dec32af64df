"""What objectives share whose rows are known before training: the reference, live or stored."""

from __future__ import annotations

from typing import Any, Literal

from llmcycle.data.training_data import TrainingData
from llmcycle.train import Models, Objective
from llmcycle.train.stored_reference import StoredReference

ReferenceKind = Literal["live", "stored"]


class AgainstReference(Objective):
    """A policy beside what it was before training, where the loss reads that.

    Args:
        loss: states by `needs_reference = False` that it reads none; no second model is kept then.
        reference: `live` keeps the model as it was; `stored` computes its log-probabilities of all rows once before
            training, which saves the model and a forward pass.

    Raises:
        ValueError: the loss reads no reference that could be stored.
    """

    roles = ("policy", "reference")

    def __init__(self, loss: object, reference: ReferenceKind = "live") -> None:
        self.reference, self.needs = reference, bool(getattr(loss, "needs_reference", True))
        self.storable = self.needs and getattr(loss, "reference_point", "none") != "kl"
        if self.stores_reference and not self.storable:
            raise ValueError(
                f"objective.reference=stored: {type(loss).__name__} reads the reference on no row that is known before "
                "training; set objective.reference=live"
            )
        self.known: dict[str, float] = {}

    @property
    def needs_reference(self) -> bool:
        """As the loss states it."""
        return self.needs

    @property
    def stores_reference(self) -> bool:
        """As it is set."""
        return self.reference == "stored"

    def begin(self, models: Models, batches: TrainingData) -> None:
        """Compute what is to be stored, or take it from the checkpoint that the run goes on from."""
        if isinstance(models.reference, StoredReference):
            models.reference.known.update(self.known)
            models.reference.store(batches)
            self.known = models.reference.known

    def state_dict(self) -> dict[str, Any]:
        """Log-probabilities of the reference by row, where they are stored: the policy has moved on from it."""
        return {"known": self.known} if self.stores_reference else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        self.known = state.get("known", {})
