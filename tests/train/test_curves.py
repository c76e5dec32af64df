"""Values over the steps: the same whether or not a run was interrupted, and never too many."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import pytest
from tiny_run import STEPS, Stopped, batches, run
from transformers import PreTrainedTokenizerFast

from llmcycle.train.curves import MOST, Curves

EVERY = {"log_every_n_steps": 3}


@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_resumed_run_has_the_curve_of_the_uninterrupted_one(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, accumulate: int
) -> None:
    whole, first, second = Curves(), Curves(), Curves()
    trained = run(tmp_path / "whole", batches(tokenizer, 0, False), accumulate, extra=[whole], **EVERY)
    with pytest.raises(Stopped):
        run(tmp_path / "cut", batches(tokenizer, 0, False), accumulate, 5 * accumulate, extra=[first], **EVERY)
    run(tmp_path / "cut", batches(tokenizer, 0, False), accumulate, extra=[second], **EVERY)
    assert second.points == whole.points
    assert [point["step"] for point in whole.points] == [*range(3, STEPS, 3), STEPS][: len(whole.points)]
    assert whole.points[0]["loss"] == pytest.approx(fmean(trained.losses[: 3 * accumulate]))
    assert {"lr", "grad_norm"} <= whole.points[0].keys()
    assert whole.resumed == []
    assert second.resumed == [4], "from the checkpoint of every second step"


def test_validation_is_kept_beside_training(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    curves = Curves()
    often = {"limit_val_batches": 1, "val_check_interval": 3, "check_val_every_n_epoch": None}
    run(tmp_path, batches(tokenizer, 0, False), extra=[curves], num_sanity_val_steps=0, **often, **EVERY)
    assert all("loss" in point and "validation/loss" in point for point in curves.points if point["step"] % 3 == 0)


def test_a_long_run_has_few_points_from_end_to_end() -> None:
    curves = Curves()
    for step in range(1, 5001):
        curves.add({"step": step, "loss": 1.0})
    steps = [point["step"] for point in curves.points]
    assert MOST / 2 <= len(steps) <= MOST
    assert steps[0] < 50
    assert steps[-1] == 5000
    assert max(b - a for a, b in pairwise(steps)) < 60
    curves.add({"step": 3000, "loss": 2.0})  # a run that went back
    assert curves.points[-1] == {"step": 3000, "loss": 2.0}


def test_what_is_written(tmp_path: Path) -> None:
    curves = Curves()
    curves.add({"step": 10, "loss": 1.5})
    curves.write(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "curves.json").read_text())
    assert written == {"points": [{"step": 10, "loss": 1.5}], "resumed": []}
