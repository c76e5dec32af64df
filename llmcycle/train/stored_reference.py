"""The reference's log-probabilities computed once, before training, so that no second model stays in memory."""

from __future__ import annotations

import os
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from llmcycle.data.encode import Example
from llmcycle.data.tokenise import cache_folder, prune
from llmcycle.data.training_data import TrainingData
from llmcycle.data.truncation import parts
from llmcycle.engine import evaluation_mode
from llmcycle.model.digest import fingerprints, named_tensors
from llmcycle.train.logprobs import Batch, Reference, Through, as_it_is, row_key, token_logprobs

FOLDER = "reference"  # beside the tokens in this user's caches


class StoredReference(Reference):
    """Log-probabilities of the rows that a run trains on and is validated on, under the model before training.

    They are computed by the policy itself when training begins, or read from the cache, where they stand by the digest
    of model, rows and precision: the arms of a sweep compute them once. A checkpoint holds them too.

    Args:
        model, chunk: as for `Reference`; no copy of the model is made.
    """

    def __init__(self, model: nn.Module, chunk: int | None = None) -> None:
        self.begun = False
        super().__init__(model, chunk)

    def kept(self, model: nn.Module) -> nn.Module:
        """The model itself: it is asked before training only, or with its adapter off."""
        return model

    @property
    def own_bytes(self) -> int:
        """None: numbers stand in the place of a model."""
        return 0

    @torch.no_grad()
    def token_logprobs(self, batch: Batch, temperature: float = 1.0, through: Through = as_it_is) -> Tensor:
        """As in `Reference`, as long as the model is what it was before training.

        Raises:
            ValueError: it is no more, so that the reference is gone.
        """
        if self.adapted:
            return super().token_logprobs(batch, temperature, through)
        if self.begun:
            raise ValueError(
                "objective.reference=stored: this row was not among those whose log-probabilities were computed before "
                "training; set objective.reference=live"
            )
        with evaluation_mode(self.model):
            return token_logprobs(self.model, batch, temperature, self.chunk, through(self.model))

    def store(self, batches: TrainingData) -> None:
        """Know all rows: from a checkpoint, where `known` holds them by now, from the cache, or from the model."""
        examples = [*batches.train, *batches.validation]
        sequences = [part for example in examples for part in parts(example)]
        keys = [row_key(np.array([part["input_ids"], part["labels"]], np.int64)) for part in sequences]
        if not self.known.keys() >= set(keys):
            file = self.file(keys)
            stored = read(file, len(keys)) if file else None
            if stored is None:
                self.compute(examples, batches)
                stored = np.array([self.known[key] for key in keys])
                keep(file, stored)
            self.known.update(zip(keys, stored.tolist(), strict=True))
        self.begun = True

    def compute(self, examples: list[Example], batches: TrainingData) -> None:
        """Score all examples, rows of like length together."""
        device = next(self.model.parameters()).device
        size, order = batches.eval_batch_size, sorted(examples, key=length)
        for start in range(0, len(order), size):
            batch = batches.collate(order[start : start + size])
            self.logprobs({name: tensor.to(device) for name, tensor in batch.items()})

    def file(self, keys: list[str]) -> Path | None:
        """Where numbers of these rows under this model stand; None for a model that is spread over processes."""
        tensors = [(name, tensor) for name, tensor in named_tensors(self.model) if not self.adapts(tensor)]
        if any(isinstance(tensor, DTensor) for _, tensor in tensors):
            return None
        device = str(tensors[0][1].device.type)
        precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        of_model = sorted(fingerprints(tensors).items())
        name = sha256(repr((of_model, keys, str(precision), self.chunk)).encode()).hexdigest()[:32]
        return cache_folder().parent / FOLDER / f"{name}.npy"

    def adapts(self, tensor: Tensor) -> bool:
        """Whether a weight is an adapter's, which the reference does without."""
        return self.adapted and tensor.requires_grad


def length(example: Example) -> int:
    """Tokens of an example's longest sequence."""
    return max(len(part["input_ids"]) for part in parts(example))


def read(file: Path, count: int) -> np.ndarray | None:
    """What was kept; None where there is nothing, or a part of it was cut off."""
    try:
        stored = np.load(file)
    except (OSError, ValueError, EOFError):
        return None
    os.utime(file)
    return stored if stored.shape == (count,) else None


def keep(file: Path | None, stored: np.ndarray) -> None:
    """Whole or not at all, whoever else writes the same; a full disk must not end a run that can do without."""
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            np.save(Path(folder) / "array.npy", stored)
            os.replace(Path(folder) / "array.npy", file)
        prune(file.parent)
    except OSError as error:
        print(f"log-probabilities of the reference are not kept for the next run: {error}", file=sys.stderr)
