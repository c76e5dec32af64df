"""Training batches without end, in an order that the seed alone decides and that can be entered anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from llmcycle.data.chat import IGNORE
from llmcycle.data.encode import Example

Draw = tuple[int, int]  # (index of an example, epoch in which it is drawn)
STRIDE = 2**31 - 1  # a prime between the seeds of two epochs


class Order:
    """The examples epoch after epoch, each epoch shuffled by (seed, epoch); a batch may lie across two epochs.

    Args:
        count: examples.
        batch_size: examples of a batch over all processes.
    """

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self._epoch, self._order = -1, [0]

    def batch(self, number: int) -> list[Draw]:
        """Batch `number`, from 0."""
        first = number * self.batch_size
        return [self._draw(*divmod(place, self.count)) for place in range(first, first + self.batch_size)]

    def _draw(self, epoch: int, place: int) -> Draw:
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(self.seed + epoch * STRIDE)
            self._epoch, self._order = epoch, torch.randperm(self.count, generator=generator).tolist()
        return self._order[place], epoch


class _Drawn(Dataset[Example]):
    """Examples by draw; each knows the epoch it is drawn in, on which random masks may depend."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples

    def __getitem__(self, draw: Draw) -> Example:
        return {**self.examples[draw[0]], "epoch": draw[1]}


class TrainingLoader:
    """An endless iterable of batches from batch `position` on: one process's share of each.

    Its state is that one number, so it is exact with worker processes too, however far they have read ahead.

    Args:
        collate: examples to one batch.
        order: which examples are in which batch.
        rank, world: this process and how many there are; each batch is cut into `world` equal shares.
        accumulate: batches of an optimizer step. Where a step has several parts (processes or batches) and examples
            are labelled, a batch carries `num_items_in_batch`, labels of the whole step over its number of parts, so
            that the mean over parts of each part's loss is the mean over all labelled tokens, as in one big batch.
        workers: processes that collate; 0 for none.

    Raises:
        ValueError: `world` does not divide the batch size.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        collate: Callable[[list[Example]], dict[str, Tensor]],
        order: Order,
        position: int = 0,
        rank: int = 0,
        world: int = 1,
        accumulate: int = 1,
        workers: int = 0,
    ) -> None:
        if order.batch_size % world:
            raise ValueError(
                f"batches.batch_size={order.batch_size}: {world} processes cannot share it equally; "
                f"choose a multiple of {world}"
            )
        self.examples, self.collate, self.order, self.position = examples, collate, order, position
        self.rank, self.world, self.accumulate, self.workers = rank, world, accumulate, workers
        self.parts = world * accumulate
        # Counting has its own view: worker processes read ahead in `order`, and each keeps one epoch at hand.
        self._ahead, self._counted = Order(order.count, order.batch_size, order.seed), (-1, 0)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        loader: DataLoader[Any] = DataLoader(
            _Drawn(self.examples),
            batch_sampler=self._shares(),  # type: ignore[arg-type]  # any iterable of lists will do
            collate_fn=self.collate,
            num_workers=self.workers,
            generator=torch.Generator(),  # its own, or starting to iterate would draw from the global one
        )
        counted = self.parts > 1 and not {"labels", "labelled"}.isdisjoint(self.examples[0])
        for number, batch in enumerate(loader, start=self.position):
            if counted:
                batch["num_items_in_batch"] = torch.tensor(self._labels(number) / self.parts)
            yield batch

    def _shares(self) -> Iterator[list[Draw]]:
        share = self.order.batch_size // self.world
        number = self.position
        while True:
            yield self.order.batch(number)[self.rank * share : (self.rank + 1) * share]
            number += 1

    def _labels(self, number: int) -> int:
        """Labelled tokens in the optimizer step that batch `number` belongs to."""
        first = number - number % self.accumulate
        if first != self._counted[0]:
            draws = [draw for n in range(first, first + self.accumulate) for draw in self._ahead.batch(n)]
            self._counted = first, sum(labelled(self.examples[index]) for index, _ in draws)
        return self._counted[1]


def labelled(example: Example) -> int:
    """Tokens that a model is asked for: `labelled`, or those of `labels` but the first, which nothing predicts."""
    return example["labelled"] if "labelled" in example else sum(label != IGNORE for label in example["labels"][1:])
