"""By which ids trackers know a stage's run, kept beside its checkpoints until it is done."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILE = "tracking.json"
CHECKPOINTS = "step-*/checkpoint.json"  # in the same folder: there is something to go on from


@dataclass
class Remembered:
    """A run's id, and where its parts were logged so far."""

    id: str
    folders: list[str] = field(default_factory=list)


def remembered(unfinished: Path, *, resumes: bool) -> Remembered:
    """The run that goes on from the checkpoints in a folder; a new one where nothing is gone on from."""
    path = unfinished / FILE
    if resumes and path.exists() and any(unfinished.glob(CHECKPOINTS)):
        return Remembered(**json.loads(path.read_text("utf-8")))
    return Remembered(secrets.token_hex(4))


def remember(unfinished: Path, run: Remembered) -> None:
    """Write it down."""
    unfinished.mkdir(parents=True, exist_ok=True)
    (unfinished / FILE).write_text(json.dumps(asdict(run)), "utf-8")


def forget(unfinished: Path) -> None:
    """Take it away where nothing can be gone on from."""
    if (unfinished / FILE).exists() and not any(unfinished.glob(CHECKPOINTS)):
        (unfinished / FILE).unlink()
        if not any(unfinished.iterdir()):
            unfinished.rmdir()
