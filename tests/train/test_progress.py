"""The progress line, on a terminal and piped."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from llmcycle.train import Progress
from llmcycle.train.progress import REDRAW_SECONDS, fitting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Module(pl.LightningModule):
    """One weight, a loss that stays, and what a learner logs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.pace = SimpleNamespace(tokens_per_second=12_345.0)

    def training_step(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        self.log_dict({"train/grad_norm": 0.8, "train/lr": 3e-3})
        return {"loss": 1.25 + 0 * self.weight}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def drive(stream: io.StringIO, steps: int, *, enabled: bool = True) -> str:
    bar = Progress("pretrain", stream)
    if not enabled:
        bar.disable()
    off = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_steps=steps, callbacks=[bar], accelerator="cpu", **off)
    trainer.fit(Module(), DataLoader(torch.zeros(steps)))
    return stream.getvalue()


def test_piped_it_is_a_few_plain_lines() -> None:
    lines = drive(io.StringIO(), 40).splitlines()
    assert [line.split()[1] for line in lines] == ["10/40", "20/40", "30/40", "40/40"]
    assert lines[0].startswith("pretrain 10/40 steps, ")
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
    start = time.perf_counter()
    drawn = drive(Terminal(), 100).count("steps/s")
    assert 0 < drawn <= 1 + (time.perf_counter() - start) / REDRAW_SECONDS


def test_disabled_it_is_silent() -> None:
    assert drive(io.StringIO(), 4, enabled=False) == ""


def test_a_line_is_shorter_than_the_terminal_is_wide() -> None:
    line = "finetune 12/150 steps, 9.8 steps/s, 10.0k tokens/s, 0:01:20 left, loss 1.23, norm 0.8, lr 3e-03"
    assert fitting(line, 200) == line
    assert fitting(line, 80) == "finetune 12/150 steps, 9.8 steps/s, 10.0k tokens/s, 0:01:20 left, loss 1.23"
    assert fitting(line, 10) == "finetune "
