"""A run reports at each look and ends where it is told to; without anybody who listens it takes no notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_run import Stopped, batches, run
from transformers import PreTrainedTokenizerFast

from llmcycle.evaluate import Scores
from llmcycle.reporting import REPORTER, Pruned, reporting
from llmcycle.train import Judge
from llmcycle.train.pruning import Pruning


class Rising:
    """A score of 1, 2, 3, ... by look."""

    limit = None

    def __init__(self, better: Any) -> None:
        self.better, self.looks = better, 0

    def __copy__(self) -> Rising:
        return self

    def __call__(self, engine: Any) -> dict[str, Scores]:
        self.looks += 1
        return {"rising": Scores([float(self.looks)] * 2, self.better, rows=["a", "b"])}


@pytest.mark.parametrize(("better", "sign"), [("higher", -1.0), ("lower", 1.0)])
def test_the_judged_score_is_reported_so_that_less_is_better(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, better: str, sign: float
) -> None:
    told: list[tuple[int, float]] = []
    judge = Judge(every_n_steps=2, rows=None, evaluators={"rising": Rising(better)})
    listening = Pruning(lambda step, value: bool(told.append((step, value))))
    run(tmp_path, batches(tokenizer, 0, packed=False), extra=[judge, listening], max_steps=6)
    assert told == [(1, sign * 1), (2, sign * 2), (3, sign * 3)]


def test_the_validation_loss_is_reported_where_nobody_judges(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    told: list[tuple[int, float]] = []
    listening = Pruning(lambda step, value: bool(told.append((step, value))))
    looks = {
        "limit_val_batches": 1,
        "val_check_interval": 3,
        "check_val_every_n_epoch": None,
        "num_sanity_val_steps": 1,
    }
    run(tmp_path, batches(tokenizer, 0, packed=False), extra=[listening], max_steps=6, **looks)
    assert [look for look, _ in told] == [1, 2]
    assert all(4 < loss < 8 for _, loss in told)


def test_a_run_ends_where_it_is_told_to_but_not_at_its_last_step(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    def trained(place: str, ends: int) -> None:
        judge = Judge(every_n_steps=2, rows=None, evaluators={"rising": Rising("higher")})
        listening = Pruning(lambda look, value: look >= ends)
        run(tmp_path / place, batches(tokenizer, 0, packed=False), extra=[judge, listening], max_steps=6)

    with pytest.raises(Pruned, match=r"ended at step 4 of 6: others were better there than judged/rising 2"):
        trained("pruned", 2)
    trained("whole", 3)


def test_who_listens_is_known_inside_alone() -> None:
    with reporting(lambda step, value: True):
        assert REPORTER.get() is not None
    assert REPORTER.get() is None


def test_a_run_that_goes_on_counts_its_looks_on(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    looks: list[int] = []

    def trained(**options: Any) -> None:
        judge = Judge(every_n_steps=2, rows=None, evaluators={"rising": Rising("higher")})
        listening = Pruning(lambda look, value: bool(looks.append(look)))
        run(tmp_path, batches(tokenizer, 0, packed=False), extra=[judge, listening], max_steps=8, **options)

    with pytest.raises(Stopped):
        trained(stop=5)
    first = list(looks)
    trained()
    assert first
    assert looks == [1, 2, 3, 4]
