"""Run a stage in several processes: each is `llmcycle.worker`, started on the stage's own recipe.

Lightning would start the others with the whole command line of the first, and so the whole lifecycle again.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf import DictConfig

from llmcycle.evaluate.metric import Metrics
from llmcycle.report import read_metrics
from llmcycle.surroundings import OUTPUTS

PATIENCE = 60.0  # seconds that the others have to end after the first has


@dataclass(frozen=True)
class Job:
    """What the processes are told.

    Args:
        recipe: the stage's own recipe.
        out: where the first process writes the artifact's files.
        checkpoints: where they save; "" if the stage doesn't.
        result: where the first process writes the metrics.
        run: what the loggers are told, `llmcycle.tracking.Run` as plain values.
        allowed: modules that recipes may name beyond the usual ones.
    """

    recipe: str
    out: str
    checkpoints: str
    result: str
    run: dict[str, Any]
    allowed: list[str]


def processes(node: DictConfig) -> int:
    """How many processes a stage trains in, going by its trainer."""
    trainer = node.get("trainer") or {}
    devices = trainer.get("devices", 1)
    if not trainer.get("strategy") or trainer.get("strategy") == "auto":
        return 1
    if isinstance(devices, int) and devices >= 0:
        return devices
    if isinstance(devices, str) and devices.isdigit():
        return int(devices)
    import torch

    return max(1, torch.cuda.device_count())


def run_apart(job: Job, count: int, file: Path, outputs: str) -> Metrics:
    """Start `count` processes on a job written to `file`, wait for them, and read the first one's metrics.

    Args:
        outputs: where artifacts are, for the stage's inputs.

    Raises:
        SystemExit: a signal was passed on, and they have saved and left.
        ValueError: one of them failed; its message is on the terminal.
    """
    file.write_text(json.dumps(asdict(job)), "utf-8")
    port = free_port()
    common = {**os.environ, OUTPUTS: outputs}
    children = [subprocess.Popen(command(file), env=common | places(rank, count, port)) for rank in range(count)]
    codes = with_signals(children, lambda: wait(children))
    left = [code for code in codes if code in (130, 143)]
    if left:
        raise SystemExit(left[0])
    if any(codes):
        raise ValueError(f"{sum(map(bool, codes))} of {count} training processes failed; their messages are above")
    return read_metrics(json.loads(Path(job.result).read_text("utf-8")))


def command(file: Path) -> list[str]:
    """One process."""
    return [sys.executable, "-m", "llmcycle.worker", str(file)]


def places(rank: int, count: int, port: int) -> dict[str, str]:
    """What Lightning reads from the environment where somebody else starts the processes."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    return {**meeting, "RANK": str(rank), "LOCAL_RANK": str(rank), "NODE_RANK": "0"}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait(children: list[subprocess.Popen[bytes]]) -> list[int]:
    """Exit codes. When one fails, the others would wait for it for ever and are ended."""
    while any(child.poll() is None for child in children):
        for child in children:
            try:
                child.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
            if child.returncode:
                end(children)
    return [child.returncode for child in children]


def end(children: list[subprocess.Popen[bytes]]) -> None:
    """Give every process a while to end by itself, then end it."""
    for child in children:
        try:
            child.wait(PATIENCE if child.poll() is None else 0)
        except subprocess.TimeoutExpired:
            child.kill()


def with_signals(children: list[subprocess.Popen[bytes]], action: Callable[[], list[int]]) -> list[int]:
    """Pass SIGTERM and SIGINT on to the children while `action` runs."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return action()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
