"""What has been labelled so far: how many, how well gold questions were answered, how far annotators agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from llmcycle.evaluate.interval import wilson
from llmcycle.feedback.agreement import Agreement, Floats, Level, agreement
from llmcycle.feedback.items import Item, Task
from llmcycle.feedback.labels import TIE, Label, Labels, is_right

LEVELS: dict[Task, Level] = {"choice": "nominal", "rating": "interval"}
TIED = 0.5  # a tie as a number, between the places 0 and 1


class OfAnnotator(NamedTuple):
    """Counts of one annotator's labels: `right` of `gold` questions, `first` of `chosen` pairs."""

    name: str
    labels: int
    skips: int
    ties: int
    gold: int
    right: int
    first: int
    chosen: int


def of_annotator(name: str, given: Sequence[Label], items: Mapping[str, Item]) -> OfAnnotator:
    """Count one annotator's labels."""
    labels = [label for label in given if label.value is not None]
    gold = [label for label in labels if items[label.item].gold is not None]
    chosen = [label for label in labels if label.task == "choice" and label.value != TIE]
    return OfAnnotator(
        name=name,
        labels=len(labels),
        skips=len(given) - len(labels),
        ties=sum(label.value == TIE for label in labels if label.task == "choice"),
        gold=len(gold),
        right=sum(is_right(label, items[label.item]) for label in gold),
        first=sum(label.order[0] == label.value for label in chosen),
        chosen=len(chosen),
    )


def agreed(labels: Labels, items: Sequence[Item], task: Task) -> Agreement | None:
    """Krippendorff's alpha over the items that are no gold questions; None where there is none, and of edits."""
    level = LEVELS.get(task)
    asked = {item.id: place for place, item in enumerate(item for item in items if item.gold is None)}
    if level is None or len(labels.annotators) < 2 or not asked:
        return None
    values_AI: Floats = np.full((len(labels.annotators), len(asked)), np.nan)
    for row, name in enumerate(labels.annotators):
        for label in labels.of(name).values():
            if label.item in asked and label.value is not None:
                values_AI[row, asked[label.item]] = TIED if label.value == TIE else float(label.value)
    return agreement(values_AI, level)


def summary(labels: Labels, items: Sequence[Item], task: Task) -> Iterator[str]:
    """The lines that a terminal shows at the end."""
    by_id = {item.id: item for item in items}
    for name in labels.annotators:
        yield line(of_annotator(name, list(labels.of(name).values()), by_id), len(items))
    if len(labels.annotators) < 2 or task not in LEVELS:
        return
    found = agreed(labels, items, task)
    if found is None:
        yield "agreement: no item has two labels yet, or all labels are the same"
        return
    alpha = f"Krippendorff's alpha {found.alpha:.3f} [{found.low:.3f}, {found.high:.3f}]"
    yield f"agreement: {alpha} over {found.items} items with two labels or more"


def line(of: OfAnnotator, total: int) -> str:
    """One annotator in one line; shares with 95 % intervals."""
    parts = [f"{of.labels + of.skips} of {total} items"]
    parts += [f"{count} {what}" for count, what in ((of.skips, "skipped"), (of.ties, "ties")) if count]
    parts += [f"gold questions {share(of.right, of.gold)} right"] if of.gold else []
    parts += [f"the first answer chosen in {share(of.first, of.chosen)}"] if of.chosen else []
    return f"{of.name}: {', '.join(parts)}"


def share(count: int, total: int) -> str:
    """A rate with its 95 % interval."""
    low, high = wilson(count, total)
    return f"{count / total:.2f} [{low:.2f}, {high:.2f}]"
