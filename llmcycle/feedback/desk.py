"""The one place where labels come in: what an annotator sees next, in which order, and what becomes of an answer."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import NamedTuple

from filelock import FileLock, Timeout

from llmcycle.feedback.items import Item, Task
from llmcycle.feedback.journal import Journal
from llmcycle.feedback.labels import TIE, Label, Labels, Value
from llmcycle.feedback.training_rows import TrainingRows

LABELS, LOCK = "labels.jsonl", "labels.lock"
HALF = re.compile("[\ud800-\udfff]")
LONGEST = 100_000  # characters of an edit
DAY = 86_400.0  # seconds, the longest time that is noted


class Shown(NamedTuple):
    """An item as an annotator sees it: `answers` in the order that was drawn."""

    item: Item
    order: tuple[int, ...]

    @property
    def answers(self) -> list[str]:
        """From left to right."""
        return [self.item.answers[place] for place in self.order]


class Refused(ValueError):
    """An answer that can't be taken: it is of another item, or no answer to this task."""


class Desk:
    """Items and their labels in one folder, which no other process labels in at the same time.

    Args:
        folder: of `labels.jsonl` and of the rows for training.
        items: in the order in which everyone sees them.
        task: what is asked.
        stars: the highest rating.
        seed: draws the order of two answers, for each annotator and item anew.

    Raises:
        ValueError: another process has the folder, or its labels are of other items.
    """

    def __init__(self, folder: Path, items: Sequence[Item], task: Task, stars: int = 5, seed: int = 0) -> None:
        self.folder, self.items, self.task, self.stars, self.seed = folder, list(items), task, stars, seed
        self.by_id = {item.id: item for item in items}
        self._lock, self._file_lock = threading.Lock(), FileLock(folder / LOCK)
        try:
            self._file_lock.acquire(timeout=0)
        except Timeout:
            reason = "another `llmcycle feedback` is labelling in it"
            raise ValueError(f"--out {folder}: {reason}\n  try: --out FOLDER, another one, or end the other") from None
        self.journal = Journal(folder / LABELS)
        self.labels = Labels(self.journal.events, self.by_id)
        self.rows = TrainingRows(folder, self.by_id)
        self.rows.rewrite(self.labels.all())

    def order(self, annotator: str, item: Item) -> tuple[int, ...]:
        """The places of an item's answers from left to right, the same whenever it is shown to this annotator."""
        places = list(range(len(item.answers)))
        Random(f"{self.seed} {annotator} {item.id}").shuffle(places)
        return tuple(places)

    def next(self, annotator: str) -> Shown | None:
        """The first item that the annotator has not labelled; None when all are done."""
        done = self.labels.of(annotator)
        item = next((item for item in self.items if item.id not in done), None)
        return None if item is None else Shown(item, self.order(annotator, item))

    def label(self, annotator: str, item_id: str, answer: Value, seconds: float = 0.0) -> Label:
        """Take an answer; it is on the disk when this returns.

        Args:
            answer: as the annotator sees the item: 0 for the left answer and 1 for the right one, or "tie"; a rating; a
                text; None to skip it.

        Raises:
            Refused: the item is not there or labelled already, or this is no answer to it.
            OSError: it could not be written.
        """
        with self._lock:
            item = self.by_id.get(item_id)
            if item is None or item_id in self.labels.of(annotator):
                raise Refused("this item is not waiting for a label: it was labelled in another window, perhaps")
            order = self.order(annotator, item)
            value, spent = self.value(answer, order), min(max(float(seconds), 0.0), DAY)
            label = Label(item_id, self.task, annotator, value, order, now(), round(spent, 1))
            self.journal.append(label.event)
            self.labels.add(label.event)
            with suppress(OSError):  # the label is safe; its row is written when the folder is opened again
                self.rows.add(label)
            return label

    def value(self, answer: Value, order: tuple[int, ...]) -> Value:
        """What an answer says of the item itself, whatever the order in which it was shown."""
        if answer is None:
            return None
        if self.task == "choice" and (answer == TIE or answer in (0, 1)):
            return TIE if answer == TIE else order[int(answer)]
        if self.task == "rating" and isinstance(answer, int | float) and answer in range(1, self.stars + 1):
            return int(answer)
        if self.task == "edit" and isinstance(answer, str) and is_text(answer):
            return answer
        raise Refused(f"{str(answer)[:40]!r} is no answer to this task, {self.wants}")

    @property
    def wants(self) -> str:
        """What an answer is, in words."""
        if self.task == "choice":
            return "which is 0, 1 or tie"
        return (
            f"which is 1 to {self.stars}"
            if self.task == "rating"
            else f"which is a text of 1 to {LONGEST:,} characters"
        )

    def undo(self, annotator: str) -> Label | None:
        """Take an annotator's last label back, and give it; None where there is none."""
        with self._lock:
            given = self.labels.of(annotator)
            if not given:
                return None
            last = given[next(reversed(given))]
            event = {"event": "undo", "item": last.item, "annotator": annotator, "time": now()}
            self.journal.append(event)
            self.labels.add(event)
            self.rows.rewrite(self.labels.all())
            return last

    def close(self) -> None:
        """Give the folder back."""
        self.journal.close()
        self._file_lock.release()


def is_text(answer: str) -> bool:
    """Whether an edit says something, is no book, and has no half of a surrogate pair, which no file can hold."""
    return bool(answer.strip()) and len(answer) <= LONGEST and not HALF.search(answer)


def now() -> str:
    """The time in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def mixed(items: Sequence[Item], gold: Sequence[Item], seed: int) -> list[Item]:
    """Items with gold questions at places that are drawn; an item that is a gold question too is one of them."""
    known = {item.id for item in gold}
    mixed, rng = [item for item in items if item.id not in known], Random(f"{seed} gold")
    for item in {item.id: item for item in gold}.values():
        mixed.insert(rng.randint(0, len(mixed)), item)
    return mixed
