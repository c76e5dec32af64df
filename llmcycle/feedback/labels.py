"""Labels by annotator and item, as the journal tells them: who said what, of which order, when, and what was undone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from llmcycle.feedback.items import Item, Task
from llmcycle.feedback.journal import Event

TIE = "tie"
Value = int | float | str | None


@dataclass(frozen=True)
class Label:
    """What one annotator says of one item.

    Args:
        item: the item's id.
        task: what was asked.
        value: of a choice the place of the better answer in the item, or "tie"; of a rating a number; of an edit the
            text that the annotator would have written. None where the item was skipped.
        order: the places of the answers in the item, as they were shown from left to right.
        time: in UTC, ISO 8601, when it came in.
        seconds: from the item's being shown to the answer, as the page counts them.
    """

    item: str
    task: Task
    annotator: str
    value: Value
    order: tuple[int, ...]
    time: str
    seconds: float

    @property
    def event(self) -> Event:
        """As the journal holds it."""
        return {"event": "label", **self.__dict__, "order": list(self.order)}


class Labels:
    """The labels that stand, by annotator and item, in the order in which each annotator gave them.

    Args:
        events: of the journal.
        items: the ids that labels may have.

    Raises:
        ValueError: an event is of an item that is not there.
    """

    def __init__(self, events: Iterable[Event], items: Iterable[str]) -> None:
        self.items, self._by_annotator = set(items), dict[str, dict[str, Label]]()
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Take one event of the journal into account."""
        if event["item"] not in self.items:
            reason = f"a label is of item {event['item']}, which items.jsonl beside it does not have"
            raise ValueError(f"labels.jsonl: {reason}\n  try: --out FOLDER, another one")
        given = self._by_annotator.setdefault(event["annotator"], {})
        given.pop(event["item"], None)
        if event["event"] == "label":
            given[event["item"]] = label_of(event)

    def of(self, annotator: str) -> dict[str, Label]:
        """By item, the oldest first."""
        return self._by_annotator.get(annotator, {})

    @property
    def annotators(self) -> list[str]:
        """Those who have labelled something."""
        return sorted(name for name, given in self._by_annotator.items() if given)

    def all(self) -> list[Label]:
        """All that are no skips, annotator by annotator."""
        given = (label for name in self.annotators for label in self.of(name).values())
        return [label for label in given if label.value is not None]


def label_of(event: Event) -> Label:
    """The label that an event holds."""
    fields: dict[str, Any] = {name: event[name] for name in Label.__dataclass_fields__}
    return Label(**{**fields, "order": tuple(event["order"])})


def is_right(label: Label, item: Item) -> bool:
    """Whether a label of a gold question is the right one; a tie is none."""
    return label.value == item.gold
