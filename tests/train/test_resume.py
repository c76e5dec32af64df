"""A run that is interrupted goes on as if nothing had happened: bitwise, with all global random states disturbed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytorch_lightning.callbacks import EarlyStopping
from tiny_run import STEPS, Stopped, batches, run, same
from transformers import PreTrainedTokenizerFast

POINTS = (0, 3, 7, 10)


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_resumed_run_is_the_uninterrupted_one(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, workers: int, accumulate: int, packed: bool
) -> None:
    whole = run(tmp_path / "whole", batches(tokenizer, workers, packed), accumulate)
    assert len(whole.losses) == STEPS * accumulate
    assert whole.losses != run(tmp_path / "no", batches(tokenizer, workers, packed), accumulate, max_steps=3).losses
    for point in POINTS:
        folder = tmp_path / str(point)
        stop = point * accumulate + (point % accumulate)
        with pytest.raises(Stopped):
            run(folder, batches(tokenizer, workers, packed), accumulate, stop)
        assert same(run(folder, batches(tokenizer, workers, packed), accumulate), whole), f"stopped in batch {stop}"


@pytest.mark.parametrize("point", [4, 5, 6, 8, 9])
def test_validations_on_the_way_are_neither_left_out_nor_repeated(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, point: int
) -> None:
    """A run that stops early by its validation loss must see the same ones."""

    def stopping() -> list[EarlyStopping]:
        return [EarlyStopping("validation/loss", min_delta=10.0, patience=2)]  # nothing improves so much: 3 looks

    options = {
        "limit_val_batches": 1,
        "val_check_interval": 3,
        "check_val_every_n_epoch": None,
        "num_sanity_val_steps": 0,
    }
    data = {"workers": 0, "packed": False}
    whole = run(tmp_path / "whole", batches(tokenizer, **data), extra=stopping(), **options)
    assert len(whole.losses) == 9
    if point < len(whole.losses):
        with pytest.raises(Stopped):
            run(tmp_path / "cut", batches(tokenizer, **data), 1, point, 3, stopping(), **options)
    again = run(tmp_path / "cut", batches(tokenizer, **data), 1, None, 3, stopping(), **options)
    assert same(again, whole)


def test_a_run_of_epochs_is_as_many_steps(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    rows = batches(tokenizer, 0, packed=False)
    assert len(run(tmp_path, rows, max_steps=-1, max_epochs=2).losses) == 12  # 2 x 23 rows by 4
    assert len(run(tmp_path / "b", rows, max_steps=5, max_epochs=2).losses) == 5
