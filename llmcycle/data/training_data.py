"""What a training run reads: the batches of rows in memory, or of a corpus that is streamed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from llmcycle.data.batches import Rows
from llmcycle.data.encode import Encoder, Example


class TrainingData(Protocol):
    """A Lightning data module with a tokenizer: see `llmcycle.data.batches.Batches`."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase: ...
    @property
    def rows(self) -> Rows:
        """The data option, with its rows as they came."""
        ...

    @property
    def encode(self) -> Encoder: ...
    @property
    def batch_size(self) -> int:
        """Training rows of a batch, over all processes together."""
        ...

    @property
    def eval_batch_size(self) -> int:
        """Validation rows of a batch."""
        ...

    @property
    def train(self) -> Iterable[Example]:
        """Encoded training rows; a list where they are held in memory."""
        ...

    @property
    def validation(self) -> list[Example]:
        """Encoded validation rows."""
        ...

    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """One padded batch."""
        ...

    def probe(self, count: int = 4) -> dict[str, Tensor]:
        """A few sequences, to compare two models by: `input_ids` and `attention_mask` (B, T)."""
        ...

    def train_dataloader(self) -> Iterable[Any]: ...
    def setup(self, stage: str) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...
