"""Steps with a loss or a gradient that is no number or far too large: skipped, counted, and survived."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from tiny_run import Spoilt, Stopped, batches, module, run, same
from transformers import PreTrainedTokenizerFast

from llmcycle.train import BadSteps, Learner
from llmcycle.train.fit import bad_step_metrics
from llmcycle.train.stage_scores import validation_scores

STEPS = 40
CPU = torch.device("cpu")


def spoilt(folder: Path, tokenizer: PreTrainedTokenizerFast, stop: int | None = None, **fault: Any) -> Learner:
    trained = module(Spoilt, **fault)
    return run(folder, batches(tokenizer, 0, packed=False), 1, stop, 4, trained=trained, max_steps=STEPS)


def counts(trained: Learner) -> tuple[float, float]:
    found = bad_step_metrics(trained.trainer)
    return found["skipped_steps"].value, found["restored_checkpoints"].value


@pytest.mark.parametrize("gradient", [False, True], ids=["loss", "gradient"])
@pytest.mark.parametrize("factor", [math.nan, math.inf, 100.0])
@pytest.mark.parametrize("place", [33, *(pytest.param(p, marks=pytest.mark.slow) for p in (5, 12, 19, 26))])
def test_one_bad_step_is_skipped_and_counted(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, factor: float, gradient: bool, place: int
) -> None:
    data = batches(tokenizer, 0, packed=False)
    start = validation_scores(module(), data, CPU)["validation_loss"].mean
    trained = spoilt(tmp_path, tokenizer, factor=factor, steps=[place], gradient=gradient)
    assert counts(trained) == (1, 0)
    assert all(torch.isfinite(p).all() for p in trained.parameters())
    assert validation_scores(trained, data, CPU)["validation_loss"].mean < 0.8 * start
    good = [loss for step, loss in enumerate(trained.losses) if step != place]
    assert fmean(good[-10:]) < 0.8 * fmean(good[:10])


def test_a_skipped_step_changes_neither_weights_nor_state(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    seen: list[list[torch.Tensor]] = []

    class Watched(Spoilt):
        def on_before_zero_grad(self, *_: Any) -> None:
            state = [v for s in self.trainer.optimizers[0].state.values() for v in s.values()]
            seen.append([t.clone() for t in (*self.parameters(), *state)])

    trained = module(Watched, factor=math.nan, steps=[3], gradient=False)
    run(tmp_path, batches(tokenizer, 0, packed=False), trained=trained, max_steps=6)
    before, after, later = seen[3:6]
    assert all(map(torch.equal, before, after))
    assert not any(map(torch.equal, after[:1], later[:1]))


def test_several_in_a_row_lead_back_to_the_last_good_checkpoint(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = spoilt(tmp_path, tokenizer, factor=math.nan, steps=range(10, 16), gradient=True)
    assert counts(trained) == (6, 1)
    assert "5 bad steps in a row: going back to step 8" in capsys.readouterr().err
    assert all(torch.isfinite(p).all() for p in trained.parameters())


def test_it_gives_up_when_going_back_does_not_help(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"5 bad steps in a row up to step \d+, and going back did not help: lower"):
        spoilt(tmp_path, tokenizer, factor=math.nan, steps=range(10, STEPS), gradient=False)
    kept = sorted(path.name for path in tmp_path.glob("step-*"))
    assert kept == ["step-00000004", "step-00000008"], "no bad state is written over a good one"


@pytest.mark.slow
def test_interrupted_among_bad_steps_it_goes_on_exactly(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    fault = {"factor": 100.0, "steps": [7, 9, 10, 11, 12, 13, 30], "gradient": True}
    whole = spoilt(tmp_path / "whole", tokenizer, **fault)
    assert counts(whole) == (7, 1)
    for point in (9, 15, 32):
        with pytest.raises(Stopped):
            spoilt(tmp_path / str(point), tokenizer, point, **fault)
        again = spoilt(tmp_path / str(point), tokenizer, **fault)
        assert same(again, whole)
        assert counts(again) == counts(whole)


def test_a_small_loss_after_a_large_one_is_no_spike() -> None:
    callback = BadSteps(factor=10.0, warmup=2)
    for loss in (5.0, 0.001):
        assert not callback.is_bad(loss, 1.0)
        callback.losses.append(loss)
        callback.norms.append(1.0)
    assert not callback.is_bad(49.0, 9.0)
    assert callback.is_bad(51.0, 1.0)
    assert callback.is_bad(1.0, 11.0)
