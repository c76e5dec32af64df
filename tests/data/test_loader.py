"""The endless loader: complete, exact from any place, and the same however many processes share it."""

from __future__ import annotations

from itertools import chain, islice
from typing import Any

import pytest
import torch
from torch import Tensor

from llmcycle.data.loader import Order, TrainingLoader

EXAMPLES = [{"input_ids": [i], "labels": [-100, *range(i % 4)], "index": i} for i in range(10)]


def collate(examples: list[dict[str, Any]]) -> dict[str, Tensor]:
    return {key: torch.tensor([example[key] for example in examples]) for key in ("index", "epoch")}


def loader(position: int = 0, batch_size: int = 4, **options: int) -> TrainingLoader:
    return TrainingLoader(EXAMPLES, collate, Order(len(EXAMPLES), batch_size, seed=3), position, **options)


def indices(batches: TrainingLoader, count: int) -> list[list[int]]:
    return [batch["index"].tolist() for batch in islice(batches, count)]


def test_every_example_comes_once_an_epoch_and_epochs_differ() -> None:
    drawn = list(chain(*indices(loader(), 5)))
    first, second = drawn[:10], drawn[10:]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert [batch["epoch"].tolist() for batch in islice(loader(), 3)] == [[0] * 4, [0] * 4, [0, 0, 1, 1]]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("position", [0, 1, 2, 3, 7, 26])
def test_it_goes_on_from_any_batch(workers: int, position: int) -> None:
    whole = indices(loader(), 30)
    assert indices(loader(position, workers=workers), 4) == whole[position : position + 4]


def test_a_batch_may_be_larger_than_the_data() -> None:
    (batch,) = indices(loader(batch_size=24), 1)
    assert sorted(batch[:10]) == sorted(batch[10:20]) == list(range(10))


def test_processes_share_each_batch() -> None:
    whole = indices(loader(), 6)
    shares = [indices(loader(rank=rank, world=2), 6) for rank in (0, 1)]
    assert [a + b for a, b in zip(*shares, strict=True)] == whole


def test_global_random_numbers_are_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    indices(loader(workers=2), 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_parts_of_a_step_weigh_by_their_labels() -> None:
    """The mean over parts of sum / num_items_in_batch is the sum over all parts over all labels of the step."""
    assert "num_items_in_batch" not in next(iter(loader()))
    sizes = [len(example["labels"]) - 1 for example in EXAMPLES]
    whole = indices(loader(), 6)
    for rank in (0, 1):
        batches = list(islice(loader(2, rank=rank, world=2, accumulate=2), 4))
        for step in (0, 1):
            labels = sum(sizes[i] for i in chain(*whole[2 + 2 * step : 4 + 2 * step]))
            found = [float(batch["num_items_in_batch"]) for batch in batches[2 * step : 2 * step + 2]]
            assert found == [labels / 4] * 2


def test_shares_must_be_equal() -> None:
    with pytest.raises(ValueError, match=r"batches\.batch_size=4: 3 processes .* multiple of 3"):
        loader(world=3)
