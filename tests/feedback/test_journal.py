"""A file that only grows: what was acknowledged is there, a torn line is not, other damage is said."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from llmcycle.feedback.journal import Journal, read_events

FIRST, SECOND = {"item": "a", "text": "ä\n\u2028 \x00"}, {"item": "b"}


def written(path: Path) -> list[dict[str, str]]:
    journal = Journal(path)
    journal.append(FIRST)
    journal.append(SECOND)
    journal.close()
    return [FIRST, SECOND]


def test_events_come_back_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    assert read_events(path) == []
    events = written(path)
    assert read_events(path) == events == Journal(path).events
    assert path.stat().st_mode & 0o077 == 0  # answers of people are nobody else's to read


def test_a_line_torn_at_any_byte_is_cut_off_and_the_rest_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    events = written(path)
    content = path.read_bytes()
    start = content[:-1].rfind(b"\n") + 1
    for end in range(start, len(content)):
        path.write_bytes(content[:end])
        whole = end == len(content) - 1  # but for the end of the line, which is put there
        journal = Journal(path)
        assert journal.events == (events if whole else events[:1])
        assert journal.cut == (0 if whole else end - start)
        journal.append(SECOND)
        journal.close()
        assert read_events(path) == [*(events if whole else events[:1]), SECOND]


def test_damage_before_the_last_line_is_told_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"item": "a"}\n{"item": \n{"item": "c"}\n')
    with pytest.raises(ValueError, match=r"j.jsonl: line 2: .*\n  try: --out FOLDER"):
        Journal(path)


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.append(FIRST)
    write, calls = os.write, iter([5])

    def full(descriptor: int, content: bytes) -> int:
        for size in calls:
            return write(descriptor, content[:size])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        journal.append(SECOND)
    monkeypatch.undo()
    assert journal.events == read_events(path) == [FIRST]
    journal.append(SECOND)
    assert read_events(path) == [FIRST, SECOND]
