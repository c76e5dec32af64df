"""Rows, an encoder and a tokenizer become the batches of a training run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

import pytorch_lightning as pl
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

import llmcycle.remote_code  # noqa: F401  to import it is to refuse
from llmcycle.data.audit import Finding, audit, check_allowed, report
from llmcycle.data.chat import choose_pad
from llmcycle.data.encode import Encoder, Example, Row
from llmcycle.data.loader import Order, TrainingLoader
from llmcycle.data.packing import collate_packed
from llmcycle.data.packing import pack as pack_rows
from llmcycle.data.padding import pad
from llmcycle.data.truncation import tell, truncation_counts
from llmcycle.quantities import Count, CountOrZero


class Rows(Protocol):
    """A data option: lists of dicts, built when first asked for."""

    @property
    def train(self) -> list[Row]: ...
    @property
    def validation(self) -> list[Row]: ...


class TokenizerTrainer(Protocol):
    """A tokenizer option that does not exist yet: it is made from the training texts."""

    def train(self, texts: Iterable[str]) -> PreTrainedTokenizerBase: ...


class Batches(pl.LightningDataModule):
    """Encodes rows once, when built, and serves them as shuffled training and ordered validation batches.

    Args:
        batch_size: training rows of a batch, over all processes together.
        eval_batch_size: validation rows of a batch.
        workers: processes that collate training batches; 0 for none.
        pack: several training examples share a row of `encode.max_length` tokens, each read as if it were alone.
        allow: rules of the audit that rows may break, named in `llmcycle.data.audit.RULES`.

    Attributes:
        rows: the data option, with its rows as they came.
        tokenizer: the given one, or the one trained on `rows.train`; it has a pad token.
        train, validation: lists of encoded examples.
        findings: what the audit found, all of it permitted.
        truncation_counts: what truncation took, as numbers by name: rows left out, rows cut and tokens lost of each
            split.

    Raises:
        ValueError: there is no training row, or a row breaks a rule of the audit, which is not to be let pass.
    """

    def __init__(
        self,
        rows: Rows,
        encode: Encoder,
        tokenizer: PreTrainedTokenizerBase | TokenizerTrainer,
        batch_size: Count,
        eval_batch_size: Count,
        seed: int,
        workers: CountOrZero = 0,
        pack: bool = False,
        allow: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.position = 0  # training batches that an interrupted run has used up
        self.rows, self.encode, self.seed, self.workers = rows, encode, seed, workers
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        if not rows.train:
            raise ValueError("data: there is no training row; look at `data.limit` and at the file itself")
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            tokenizer = tokenizer.train(text for row in rows.train for text in _texts(row))
        self.tokenizer = choose_pad(tokenizer)
        split_rows = {"train": rows.train, "validation": rows.validation}
        encoded = {split: encode.encode(part, self.tokenizer) if part else [] for split, part in split_rows.items()}
        self.truncation_counts = truncation_counts(split_rows, encoded, getattr(encode, "truncation", "error"))
        tell(self.truncation_counts)
        self.findings = self._audited(split_rows, encoded, check_allowed(allow))
        self.train: list[Example] = encoded["train"]
        self.validation: list[Example] = encoded["validation"]
        self.packed = pack
        if pack:
            self.train = pack_rows(self.train, encode.max_length)

    @staticmethod
    def preflight(allow: Sequence[str] = (), **_: object) -> None:
        """Refuse, before anything runs, to let rules pass that there are not."""
        check_allowed(allow)

    def collate(self, examples: list[Example]) -> dict[str, Tensor]:
        """One batch, padded with the tokenizer's pad token."""
        return self.encode.collate(examples, cast(int, self.tokenizer.pad_token_id))

    def collate_train(self, examples: list[Example]) -> dict[str, Tensor]:
        """One training batch, whose rows may be packed."""
        return (
            collate_packed(examples, cast(int, self.tokenizer.pad_token_id)) if self.packed else self.collate(examples)
        )

    def train_dataloader(self) -> TrainingLoader:
        """Shuffled by `seed` alone, without end, from where a resumed run had got to."""
        trainer = self.trainer
        parts = (trainer.global_rank, trainer.world_size, trainer.accumulate_grad_batches) if trainer else (0, 1, 1)
        order = Order(len(self.train), self.batch_size, self.seed)
        return TrainingLoader(self.train, self.collate_train, order, self.position, *parts, self.workers)

    def state_dict(self) -> dict[str, Any]:
        """Batches that training has used up."""
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress if self.trainer else None
        return {"position": progress.total.processed} if progress else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.position = state_dict["position"]

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The validation rows in order; empty when there are none."""
        return self._loader(self.validation, batch_size=self.eval_batch_size) if self.validation else []

    def probe(self, count: int = 4) -> dict[str, Tensor]:
        """A few sequences, to compare two models by: `input_ids` and `attention_mask` (B, T), padded right."""
        examples = (self.validation or self.train)[:count]
        ids = [e["chosen"]["input_ids"] if "chosen" in e else e["input_ids"] for e in examples]
        return {
            "input_ids": pad(ids, cast(int, self.tokenizer.pad_token_id)),
            "attention_mask": pad([[1] * len(i) for i in ids], 0),
        }

    def _audited(
        self, rows: Mapping[str, list[Row]], encoded: Mapping[str, list[Example]], allow: Iterable[str]
    ) -> tuple[Finding, ...]:
        result = audit(self.encode, self.tokenizer, rows, encoded, allow)
        if result.refused:
            raise ValueError(report(result.refused))
        return result.findings

    def _loader(self, examples: list[Example], **options: Any) -> DataLoader[Any]:
        collate: Callable[[list[Example]], dict[str, Tensor]] = self.collate
        return DataLoader(cast(Any, examples), collate_fn=collate, **options)


def _texts(row: Row) -> Iterator[str]:
    """The strings that a model will read, inside lists of messages too: what a tokenizer is trained on."""
    for column in ("text", "prompt", "completion", "chosen", "rejected", "steps"):
        value = row.get(column)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (m["content"] for m in value if isinstance(m, dict) and "content" in m)
            yield from (step for step in value if isinstance(step, str))
