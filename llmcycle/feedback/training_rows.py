"""Labels as the rows that training reads: preferences for `reward` and `align`, ratings for `rating`, edits for both
and for `finetune`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from llmcycle.feedback.items import Item
from llmcycle.feedback.labels import TIE, Label

PREFERENCES, RATINGS, EDITS = "preferences.jsonl", "ratings.jsonl", "edits.jsonl"
FILES = (PREFERENCES, RATINGS, EDITS)
Rows = dict[str, list[dict[str, Any]]]


class TrainingRows:
    """The files of rows beside a journal: they follow it label by label, and are written anew at start and at an undo.

    A gold question makes no row, since its answer was known; neither does a tie, of which no loss here takes any.

    Args:
        folder: where the files are.
        items: by id.
    """

    def __init__(self, folder: Path, items: Mapping[str, Item]) -> None:
        self.folder, self.items = folder, items

    def rewrite(self, labels: Iterable[Label]) -> None:
        """Write all files, each whole or not at all; one that would be empty is removed."""
        whole: Rows = {name: [] for name in FILES}
        for label in labels:
            for name, row in rows_of(label, self.items[label.item]):
                whole[name].append(row)
        for name, rows in whole.items():
            aside = (self.folder / name).with_suffix(".aside")
            aside.write_text("".join(map(line, rows)), "utf-8")
            aside.replace(self.folder / name)
            if not rows:
                (self.folder / name).unlink()

    def add(self, label: Label) -> None:
        """Append one label's rows."""
        for name, row in rows_of(label, self.items[label.item]):
            with (self.folder / name).open("a", encoding="utf-8") as file:
                file.write(line(row))


def line(row: dict[str, Any]) -> str:
    """A row as a line of JSON."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def rows_of(label: Label, item: Item) -> list[tuple[str, dict[str, Any]]]:
    """(file, row) of what a label teaches."""
    if label.value is None or label.value == TIE or item.gold is not None:
        return []
    about = {"annotator": label.annotator, "time": label.time, "item": label.item, "task": label.task}
    if label.task == "choice":
        return [(PREFERENCES, preference(item, int(label.value)) | about)]
    (answer,), (source,) = item.answers, item.sources
    if label.task == "rating":
        rating = {"prompt": item.prompt, "completion": answer, "rating": label.value, "source": source}
        return [(RATINGS, rating | about)]
    edit = {"prompt": item.prompt, "completion": label.value, "original": answer, "source": source}
    pair = {"prompt": item.prompt, "chosen": label.value, "rejected": answer}
    sources = {"chosen_source": f"edit by {label.annotator}", "rejected_source": source}
    return [(EDITS, edit | about)] + ([(PREFERENCES, pair | sources | about)] if label.value != answer else [])


def preference(item: Item, better: int) -> dict[str, Any]:
    """The pair of a choice."""
    worse = 1 - better
    return {
        "prompt": item.prompt,
        "chosen": item.answers[better],
        "rejected": item.answers[worse],
        "chosen_source": item.sources[better],
        "rejected_source": item.sources[worse],
    }
