"""Dynamic sampling: whose answers differ, what takes the place of others, and that rows of several widths fit."""

from __future__ import annotations

import torch

from llmcycle.align.dynamic import Draw, differing, fill
from llmcycle.align.rollouts import Rollouts
from llmcycle.data.chat import IGNORE


def draw(name: str, *groups: tuple[float, float], width: int = 3) -> Draw:
    count = 2 * len(groups)
    labels = torch.full((count, width), IGNORE)
    labels[:, -1] = 7
    batch = {
        "input_ids": torch.full((count, width), 7),
        "attention_mask": torch.ones(count, width, dtype=torch.long),
        "labels": labels,
    }
    texts = [f"{name}{i}" for i in range(count)]
    rollouts = Rollouts(batch, texts, [[7]] * count, [True] * count)
    return Draw(rollouts, {"a": [value for group in groups for value in group], "b": [1.0] * count})


def test_groups_differ_by_the_sum_or_by_one_metric() -> None:
    first = draw("x", (0.0, 1.0), (1.0, 1.0), (0.0, 0.0))
    assert differing(first, 2, None) == [0]
    assert differing(first, 2, "b") == []
    assert differing(first, 2, "a") == [0]


def test_others_take_the_place_of_answers_that_earn_the_same() -> None:
    later = [draw("y", (1.0, 1.0), (0.0, 1.0), width=5), draw("z", (1.0, 0.0), (0.0, 1.0))]
    first = draw("x", (0.0, 0.0), (0.0, 1.0), (1.0, 1.0))
    filled, taken = fill(first, lambda number: later[number - 1], 2, 3, None, pad_id=0)
    assert taken == 3
    assert filled.rollouts.texts == ["x2", "x3", "y2", "y3", "z0", "z1"]
    assert filled.scores == {"a": [0.0, 1.0, 0.0, 1.0, 1.0, 0.0], "b": [1.0] * 6}
    batch = filled.rollouts.batch
    assert batch["input_ids"].shape == (6, 5)
    assert batch["attention_mask"].sum(1).tolist() == [3, 3, 5, 5, 3, 3]
    assert (batch["labels"] != IGNORE).sum(1).tolist() == [1] * 6
    assert differing(filled, 2, None) == [0, 1, 2]


def test_what_is_still_missing_comes_as_it_is() -> None:
    first = draw("x", (0.0, 0.0), (0.0, 1.0), (1.0, 1.0))
    filled, taken = fill(first, lambda number: draw("y", (1.0, 1.0)), 2, 2, None, pad_id=0)
    assert taken == 2
    assert filled.rollouts.texts == ["x2", "x3", "x0", "x1", "x4", "x5"]


def test_a_batch_that_differs_is_taken_as_it_comes() -> None:
    first = draw("x", (0.0, 1.0))
    filled, taken = fill(first, lambda number: draw("y", (1.0, 0.0)), 2, 4, None, pad_id=0)
    assert taken == 1
    assert filled.rollouts.texts == first.rollouts.texts
