"""The progress line, on a terminal and piped."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
import torch

from llmcycle.train import Progress
from llmcycle.train.progress import fitting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drive(stream: io.StringIO, steps: int) -> str:
    bar = Progress("pretrain", stream)
    trainer = SimpleNamespace(
        global_step=0,
        estimated_stepping_batches=steps,
        accumulate_grad_batches=1,
        callback_metrics={"train/grad_norm": torch.tensor(0.8), "train/lr": torch.tensor(3e-3)},
    )
    module = SimpleNamespace(pace=SimpleNamespace(tokens_per_second=12_345.0))
    bar.on_train_start(trainer)
    for step in range(1, steps + 1):
        trainer.global_step = step
        bar.on_train_batch_end(trainer, module, {"loss": torch.tensor(1.25)}, None, step)
    bar.on_train_end()
    return stream.getvalue()


def test_piped_it_is_a_few_plain_lines() -> None:
    lines = drive(io.StringIO(), 1000).splitlines()
    assert [line.split()[1] for line in lines] == ["250/1000", "500/1000", "750/1000", "1000/1000"]
    assert lines[0].startswith("pretrain 250/1000 steps, ")
    assert "steps/s" in lines[0]
    assert " steps/s, 12.3k tokens/s, " in lines[0]
    assert lines[0].endswith(" left, loss 1.250, norm 0.8, lr 3.0e-03")
    assert len(drive(io.StringIO(), 1).splitlines()) == 1


def test_on_a_terminal_it_is_one_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmcycle.train.progress.REDRAW_SECONDS", 0)
    text = drive(Terminal(), 20)
    assert "\n" not in text
    assert text.count("\r\x1b[K") == 21
    assert text.endswith("\r\x1b[K")


def test_on_a_terminal_it_does_not_flicker() -> None:
    assert drive(Terminal(), 1000).count("steps/s") < 10


def test_disabled_it_is_silent() -> None:
    stream = io.StringIO()
    bar = Progress("pretrain", stream)
    bar.disable()
    bar.on_train_batch_end(SimpleNamespace(global_step=1, estimated_stepping_batches=1), None, None)
    assert stream.getvalue() == ""


def test_a_line_is_shorter_than_the_terminal_is_wide() -> None:
    line = "finetune 12/150 steps, 9.8 steps/s, 10.0k tokens/s, 0:01:20 left, loss 1.23, norm 0.8, lr 3e-03"
    assert fitting(line, 200) == line
    assert fitting(line, 80) == "finetune 12/150 steps, 9.8 steps/s, 10.0k tokens/s, 0:01:20 left, loss 1.23"
    assert fitting(line, 10) == "finetune "
