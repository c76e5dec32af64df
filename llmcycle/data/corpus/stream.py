"""A corpus larger than memory as an endless stream of packed blocks that goes on exactly where it was left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, distributed
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import PreTrainedTokenizerBase

from llmcycle.data.batches import TokenizerTrainer
from llmcycle.data.chat import choose_pad
from llmcycle.data.corpus.blocks import Position, blocks
from llmcycle.data.corpus.corpus import Corpus
from llmcycle.data.corpus.lanes import Lanes
from llmcycle.data.encode import Example, Packed
from llmcycle.data.padding import pad
from llmcycle.data.tokenise import key
from llmcycle.quantities import Count, CountOrZero

Positions = list[Position]  # of every lane


class TokenStream(IterableDataset[Example]):
    """Blocks of tokens from the lanes of one process: from each lane in turn, or from those of one worker.

    Lane `i` belongs to process `i % world`, and in it to worker `i // world % workers`. The lane that has yielded the
    fewest blocks comes next, so the order follows from the positions alone. Each example carries, under `position`, its
    lane and where that goes on: whoever consumes examples knows the state of the stream, whatever workers have read
    ahead.

    Args:
        lanes: the order of documents.
        length: tokens of a block.
        apart: begin `position_ids` anew with each document, by which attention stays inside it.
        epochs: passes over the corpus; None for a stream without end. Each lane passes at its own pace.
        rank, world: this process and how many there are; by default torch.distributed's where that runs.

    Attributes:
        positions: where iterating begins, for every lane; each `iter` begins there.
    """

    def __init__(
        self,
        lanes: Lanes,
        tokenizer: PreTrainedTokenizerBase,
        length: int,
        apart: bool = True,
        epochs: int | None = None,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        super().__init__()
        if length < 2:
            raise ValueError(f"encode.max_length={length}: a block needs 2 tokens, one to predict the other from")
        running = distributed.is_available() and distributed.is_initialized()
        self.lanes, self.tokenizer, self.length, self.apart, self.epochs = lanes, tokenizer, length, apart, epochs
        self.rank = rank if rank is not None else distributed.get_rank() if running else 0
        self.world = world if world is not None else distributed.get_world_size() if running else 1
        self.tokenizer_key = key(tokenizer, ())
        self.positions: Positions = [Position()] * lanes.count
        self._reached: Positions | None = None

    def __iter__(self) -> Iterator[Example]:
        worker = get_worker_info()
        mine = self.share(worker.id, worker.num_workers) if worker else self.share(0, 1)
        reached = self._reached = list(self.positions)
        sources = {lane: self._blocks(lane) for lane in mine}
        while sources:
            lane = min(sources, key=lambda number: reached[number].blocks)
            example = next(sources[lane], None)
            if example is None:
                del sources[lane]
            else:
                reached[lane] = Position(*example["position"][1:])
                yield example

    def share(self, worker: int, workers: int) -> list[int]:
        """The lanes of a worker. The first one is who has yielded least, since a loader asks its workers in turn.

        Raises:
            ValueError: workers and processes would have unequal shares.
        """
        parts = workers * self.world
        if self.lanes.count % parts:
            raise ValueError(
                f"batches.lanes={self.lanes.count}: {self.world} processes of {workers} workers can't share them "
                f"equally; choose a multiple of {parts}, or another number of `batches.workers`"
            )
        own = range(self.rank, self.lanes.count, self.world)
        shares = [list(own[first::workers]) for first in range(workers)]
        done = [sum(self.positions[lane].blocks for lane in share) for share in shares]
        return shares[(worker + done.index(min(done))) % workers]

    def state_dict(self) -> dict[str, Any]:
        """Plain values: the position of every lane after the last example that was drawn from this object itself."""
        return {
            "positions": [list(position) for position in self._reached or self.positions],
            "stream": self.fingerprint(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Begin there with the next `iter`; other numbers of processes and workers may go on from it too.

        Raises:
            ValueError: the state is of another corpus, or of other settings.
        """
        if state["stream"] != self.fingerprint():
            raise ValueError(
                "the stream can't go on from this checkpoint: the corpus's files, filters or weights, the tokenizer, "
                "`encode.max_length`, `batches.lanes`, `batches.buffer` or the seed are others. Restore them, or start "
                "anew with resume=never"
            )
        self.positions = [Position(*position) for position in state["positions"]]
        self._reached = None

    def fingerprint(self) -> list[Any]:
        """What a position means nothing without."""
        order = [self.lanes.corpus.fingerprint, self.lanes.count, self.lanes.window, self.lanes.seed]
        return [*order, self.length, self.apart, self.tokenizer_key]

    def _blocks(self, lane: int) -> Iterator[Example]:
        return blocks(self.lanes, lane, self.tokenizer, self.length, self.apart, self.positions[lane], self.epochs)


class StreamedBatches(pl.LightningDataModule):
    """`llmcycle.data.batches.Batches` for a corpus that is not held in memory: its training batches never end.

    A training batch has, beside what `encode.collate` gives, `position`: where each lane goes on after it. Lightning's
    `on_before_batch_transfer` takes that out of every batch that training consumes, and `state_dict` tells it: this is
    what a checkpoint needs, and `load_state_dict` makes the next loader begin there.

    Args:
        rows: the corpus.
        encode: `llmcycle.data.encode.Packed`, for the length of blocks and to make batches of them.
        tokenizer: one that exists, or one to train on a sample of the corpus.
        batch_size: blocks of a training batch, over all processes together.
        eval_batch_size: validation examples of a batch.
        seed: of the order.
        workers: processes that read and tokenise; 0 for none.
        buffer: characters that are shuffled at a time, all lanes together; memory grows with it.
        lanes: parts in which the corpus is read side by side; processes times workers must divide it.
        apart: keep attention inside documents.
        sample: characters that a tokenizer is trained on.
    """

    def __init__(
        self,
        rows: Corpus,
        encode: Packed,
        tokenizer: PreTrainedTokenizerBase | TokenizerTrainer,
        batch_size: Count,
        eval_batch_size: Count,
        seed: int,
        workers: CountOrZero = 0,
        buffer: Count = 48_000_000,
        lanes: Count = 24,
        apart: bool = True,
        sample: Count = 20_000_000,
    ) -> None:
        super().__init__()
        _refuse_others(rows, encode)
        self.rows, self.encode, self.seed, self.workers, self.apart = rows, encode, seed, workers, apart
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.lanes = Lanes(rows, lanes, ceil(buffer / lanes), seed)
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            tokenizer = tokenizer.train(rows.sample(sample))
        if next(rows.sample(1), None) is None:
            raise ValueError("data: the corpus holds no document to train on")
        self.tokenizer = choose_pad(tokenizer)
        self.train = self.stream(rank=0, world=1)
        self.validation = encode.encode(rows.validation, self.tokenizer) if rows.validation else []

    def stream(self, rank: int | None = None, world: int | None = None) -> TokenStream:
        """The stream of a process, from its beginning."""
        return TokenStream(self.lanes, self.tokenizer, self.encode.max_length, self.apart, None, rank, world)

    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """One batch, padded with the tokenizer's pad token."""
        return self.encode.collate(examples, cast(int, self.tokenizer.pad_token_id))

    def train_dataloader(self) -> DataLoader[Any]:
        """This process's share of every batch, from where a resumed run had got to.

        Raises:
            ValueError: the trainer has no `max_steps`, or processes can't share a batch equally.
        """
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if self.trainer and self.trainer.max_steps < 1:
            raise ValueError("trainer.max_steps: a streamed corpus never ends, so say how many steps to train for")
        if self.batch_size % world:
            raise ValueError(f"batches.batch_size={self.batch_size}: {world} processes can't share it equally")
        positions = self.train.positions
        self.train = self.stream(rank, world)
        self.train.positions = positions
        self.train.share(0, max(1, self.workers))  # refuse a wrong number here, not in a worker process
        return DataLoader(
            self.train,
            batch_size=self.batch_size // world,
            collate_fn=self._collate,
            num_workers=self.workers,
            generator=torch.Generator(),  # its own, or starting to iterate would draw from the global one
        )

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The validation rows in order; empty when there are none."""
        if not self.validation:
            return []
        return DataLoader(cast(Any, self.validation), self.eval_batch_size, collate_fn=self.collate)

    def probe(self, count: int = 4) -> dict[str, Tensor]:
        """A few sequences, to compare two models by: `input_ids` and `attention_mask` (B, T), padded right."""
        source = self.validation[:count] or [example for example, _ in zip(self.train, range(count), strict=False)]
        ids = [example["input_ids"] for example in source]
        return {
            "input_ids": pad(ids, cast(int, self.tokenizer.pad_token_id)),
            "attention_mask": pad([[1] * len(i) for i in ids], 0),
        }

    def on_before_batch_transfer(self, batch: dict[str, Any], *_: object) -> dict[str, Any]:
        """Called with each batch right before its step: notes where the stream stands after it."""
        self.consume(batch)
        return {name: value for name, value in batch.items() if name != "position"}

    def consume(self, batch: Mapping[str, Any]) -> None:
        """Note that training goes on after this batch. Validation batches have no position and change nothing."""
        positions = list(self.train.positions)
        for lane, *position in batch.get("position", ()):
            positions[lane] = Position(*position)
        self.train.positions = positions

    def state_dict(self) -> dict[str, Any]:
        """On every process: plain values, the same ones everywhere."""
        return {"positions": gathered(self.train.positions), "stream": self.train.fingerprint()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Raises as `TokenStream.load_state_dict` does."""
        self.train.load_state_dict(state_dict)

    def _collate(self, examples: Sequence[Example]) -> dict[str, Any]:
        return {**self.collate(examples), "position": [example["position"] for example in examples]}


def gathered(positions: Positions) -> list[list[int]]:
    """Every lane's position from the process that reads it: the one that has come furthest in it."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [list(position) for position in positions]
    everywhere: list[Positions] = [[]] * distributed.get_world_size()
    distributed.all_gather_object(everywhere, positions)
    return [list(max(lane)) for lane in zip(*everywhere, strict=True)]


def _refuse_others(rows: object, encode: object) -> None:
    if not isinstance(rows, Corpus):
        raise ValueError("batches=streamed reads a corpus: choose `data=corpus`, or `batches=default` for other rows")
    if not isinstance(encode, Packed):
        raise ValueError("batches=streamed makes blocks for next-token training: choose `encode=packed`")
