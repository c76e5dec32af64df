"""Verdicts on disk, by content: nothing is asked twice, and an interrupted run keeps what it has paid for."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from llmcycle.judge.verdict import Verdict

FILE = "verdicts.jsonl"


def key(*parts: object) -> str:
    """The sha256 of all that a verdict depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Cache:
    """`folder`/verdicts.jsonl, a {"key", "value", "said"} a line; in memory alone without a folder.

    Several processes may write to one file: a lock keeps their lines apart, and what others have written is read before
    each question. A line that a kill has torn is passed over.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.path = None if folder is None else Path(folder).expanduser() / FILE
        self.verdicts: dict[str, Verdict] = {}
        self.read = 0  # bytes of the file

    def refresh(self) -> None:
        """Read what has been added to the file."""
        if self.path is None or not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.read)
            whole = file.read().rpartition(b"\n")[0]
        self.read += len(whole) + 1 if whole else 0
        for line in whole.splitlines():
            self.verdicts |= parsed(line)

    def add(self, verdicts: Mapping[str, Verdict]) -> None:
        """Keep these, flushed to the disk; those that would come out otherwise another time in memory alone."""
        self.verdicts |= verdicts
        lines = "".join(written(name, verdict) for name, verdict in verdicts.items() if verdict.lasting)
        if self.path is None or not lines:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock"), self.path.open("ab") as file:
            file.write(("\n" if is_torn(self.path) else "").encode() + lines.encode())
            file.flush()
            os.fsync(file.fileno())


def written(name: str, verdict: Verdict) -> str:
    """A verdict as a line."""
    return json.dumps({"key": name, "value": verdict.value, "said": verdict.said}) + "\n"


def parsed(line: bytes) -> dict[str, Verdict]:
    """The verdict of a line by its key; nothing of one that is torn."""
    try:
        entry: Any = json.loads(line)
        return {str(entry["key"]): Verdict(entry["value"], entry["said"])}
    except (ValueError, KeyError, TypeError):
        return {}


def is_torn(path: Path) -> bool:
    """Whether a file's last line has no end."""
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
