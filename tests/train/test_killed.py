"""Killed anywhere, a run goes on by itself; told to stop, it finishes the step, saves and says so by its exit code."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from killed import SAVING, forked, killed, train

from llmcycle.train import checkpoint_folder


def test_killed_again_and_again_it_ends_as_if_never_killed(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = train(tmp_path / "whole")
    kills, saving, digest = killed(tmp_path / "cut", seed=0, kills=4)
    assert kills >= 2
    assert saving >= 1
    assert digest == whole, (tmp_path / "cut" / "log.txt").read_text()


def started(folder: Path, slow_save: float) -> int:
    """A run that is in its first save by now."""
    child = forked(lambda: train(folder, slow_save, steps=100_000) and None, folder / "log.txt")
    while not (folder / SAVING).exists():
        time.sleep(0.01)
        assert os.waitpid(child, os.WNOHANG)[0] == 0, (folder / "log.txt").read_text()
    return child


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_leaves_with_its_code(tmp_path: Path, number: signal.Signals, code: int) -> None:
    child = started(tmp_path, 0.2)
    os.kill(child, number)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
    said = (tmp_path / "log.txt").read_text()
    found = checkpoint_folder.newest(tmp_path / "checkpoints", print)
    assert found is not None
    assert "finishing the step and saving" in said
    assert f"stopped after step {found.step}; the same command goes on from step {found.step}" in said
    assert not list((tmp_path / "checkpoints").glob(".partial-*"))


def test_a_second_signal_leaves_at_once(tmp_path: Path) -> None:
    child = started(tmp_path, 30.0)
    begun = time.monotonic()
    os.kill(child, signal.SIGTERM)
    time.sleep(0.1)
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 143
    assert time.monotonic() - begun < 10
    assert checkpoint_folder.newest(tmp_path / "checkpoints", print) is None, "the save was cut off"
