"""What is labelled: a prompt with two answers to choose from, or with one to rate or to edit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from llmcycle.data.chat import Prompt
from llmcycle.data.encode import Row
from llmcycle.files import write_synced

Task = Literal["choice", "rating", "edit"]
TASKS: tuple[Task, ...] = ("choice", "rating", "edit")
SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class Item:
    """One thing to label.

    Args:
        prompt: a text or messages.
        answers: two for a choice, one for a rating or an edit.
        sources: what each answer comes from: an artifact and the number of its draw, or a column of a file.
        gold: the label that is known to be right (the place of the better answer, or a rating); None where none is.
    """

    prompt: Prompt
    answers: tuple[str, ...]
    sources: tuple[str, ...]
    gold: float | None = None

    @property
    def id(self) -> str:
        """Twelve hex digits of what the item says; they tell neither the sources nor that it is a gold question."""
        content = json.dumps([self.prompt, self.answers], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def items_of(rows: Sequence[Row], task: Task, name: str) -> list[Item]:
    """All items that rows hold, each once: pairs of different answers for a choice, else single answers.

    Args:
        rows: `prompt`, and `answers` (perhaps `sources`), `chosen` and `rejected`, or `completion`.
        name: of the rows, for messages.

    Raises:
        ValueError: a row lacks them; it is named.
    """
    items: dict[str, Item] = {}
    for index, row in enumerate(rows):
        answers = answers_of(row, f"{name}: row {index} (counted from 0)")
        size = 2 if task == "choice" else 1
        for group in combinations(answers, size):
            item = Item(row["prompt"], tuple(text for text, _ in group), tuple(source for _, source in group))
            items.setdefault(item.id, item)
    return list(items.values())


def answers_of(row: Row, where: str) -> list[tuple[str, str]]:
    """(answer, source) of a row; of equal answers the first one alone."""
    if not isinstance(row.get("prompt"), str | list):
        raise ValueError(f"{where}: it has no `prompt`, a text or a list of messages")
    if isinstance(row.get("answers"), list):
        texts = row["answers"]
        sources = row.get("sources") or [f"answers[{place}]" for place in range(len(texts))]
    else:
        sources = [name for name in (*SIDES, "completion") if row.get(name) is not None]
        texts = [row[name] for name in sources]
    if not texts or len(texts) != len(sources) or not all(isinstance(text, str) for text in texts):
        wanted = "`answers` (a list of texts), or `chosen` and `rejected`, or `completion`"
        raise ValueError(f"{where}: it has no answers: it needs {wanted}, and has {', '.join(row)}")
    first: dict[str, str] = {}
    for text, source in zip(texts, sources, strict=True):
        first.setdefault(text, source)
    return list(first.items())


def gold_of(rows: Sequence[Row], task: Task, name: str) -> list[Item]:
    """Questions whose right label is known: `chosen` and `rejected`, or `completion` and `rating`.

    Raises:
        ValueError: a row is none, or nothing can be right in this task.
    """
    if task == "edit":
        raise ValueError("--gold: there is no right edit to compare with\n  try: --task choice, or --task rating")
    needs = ("prompt", *SIDES) if task == "choice" else ("prompt", "completion", "rating")
    gold = []
    for index, row in enumerate(rows):
        if missing := [column for column in needs if row.get(column) is None]:
            raise ValueError(f"{name}: row {index} (counted from 0): it has no `{missing[0]}`, which a gold row needs")
        gold.append(gold_item(row, task))
    return gold


def gold_item(row: Row, task: Task) -> Item:
    """One gold question; the better answer stands first, and is shown wherever the draw has it."""
    if task == "rating":
        return Item(row["prompt"], (row["completion"],), ("gold",), float(row["rating"]))
    return Item(row["prompt"], (row["chosen"], row["rejected"]), ("gold chosen", "gold rejected"), 0.0)


def save(items: Sequence[Item], path: Path) -> None:
    """Write items as JSON lines: whole, or not at all."""
    aside = path.with_suffix(".aside")
    write_synced(aside, "".join(json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in items))
    aside.replace(path)


def read(path: Path) -> list[Item]:
    """The items that `save` wrote."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [Item(row["prompt"], tuple(row["answers"]), tuple(row["sources"]), row["gold"]) for row in rows]
