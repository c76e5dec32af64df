"""A file of JSON lines that only grows, and that no kill can take a row from."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from llmcycle.files import sync

Event = dict[str, Any]


class Journal:
    """Events in the order in which they came; one is in the file, flushed to the disk, before `append` returns.

    What stands behind the last line's end when the file is opened was being written when its process was killed. Nobody
    was told that it was saved: it is kept where it is whole, and else cut off.

    Args:
        path: the file; made where there is none.

    Attributes:
        events: those of the file.
        cut: bytes of a torn line that were cut off.

    Raises:
        ValueError: a line before the last one is no event: the file was changed by something else.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        is_new = not path.exists()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.cut = self._heal()
        self.events = read_events(path)
        if is_new:
            sync(path.parent)

    def append(self, event: Event) -> None:
        """Write one event. Raises OSError: it could not be written, and the file is as it was."""
        line = json.dumps(event, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            self._write(line)
            self.events.append(event)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)

    def _write(self, line: bytes) -> None:
        size = os.fstat(self._descriptor).st_size
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, size)  # of a full disk: half a line would spoil the next one
            raise

    def _heal(self) -> int:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        tail = content[whole:]
        if not tail:
            return 0
        if is_event(tail):
            self._write(b"\n")
            return 0
        os.ftruncate(self._descriptor, whole)
        os.fsync(self._descriptor)
        return len(tail)


def read_events(path: Path) -> list[Event]:
    """The events of a file, without one that is being written; none where there is no file. Raises as `Journal`."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [parsed(line, path, number) for number, line in enumerate(lines, 1)]


def is_event(line: bytes) -> bool:
    """Whether a line is a whole event."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def parsed(line: bytes, path: Path, number: int) -> Event:
    """The event of a line; ValueError names one that is none."""
    if not is_event(line):
        reason = "it is no JSON mapping, and only the last line can be torn by a kill; something else changed the file"
        raise ValueError(f"{path}: line {number}: {reason}\n  try: --out FOLDER, another one, or mend that line")
    event: Event = json.loads(line)
    return event
