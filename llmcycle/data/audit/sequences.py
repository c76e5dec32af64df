"""The token sequences of one split, each with its row and with what the row asks for. S sequences, T tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmcycle.data.chat import IGNORE
from llmcycle.data.encode import Asked, Example, Row
from llmcycle.data.truncation import parts

Span = tuple[int, int]  # from the first token to after the last one


@dataclass
class Sequences:
    """Sequences side by side.

    Args:
        split: train or validation.
        rows: of each sequence, its row's place in the data.
        examples: `input_ids` (T), and `labels` (T) where there is something to learn.
        asked: what each row asks for; None where the encoder does not keep rows apart.
        runs: of each sequence, the spans of tokens that are learnt.
    """

    split: str
    rows: list[int]
    examples: list[Example]
    asked: list[Asked] | None
    runs: list[list[Span]] = field(init=False)

    def __post_init__(self) -> None:
        self.runs = [runs(one["labels"]) if "labels" in one else [] for one in self.examples]

    @property
    def learnt(self) -> bool:
        """Whether there are labels at all: prompts to generate from have none."""
        return "labels" in self.examples[0]

    def __len__(self) -> int:
        return len(self.examples)


def gather(
    split: str, rows: Sequence[Row], examples: Sequence[Example], asked: Callable[[Row], list[Asked]] | None
) -> Sequences:
    """The sequences of a split, two for a pair.

    Args:
        asked: the encoder's own word for what a row asks for, one entry a sequence.
    """
    flat = [(example["index"], part) for example in examples for part in parts(example)]
    wanted = None if asked is None else [one for example in examples for one in asked(rows[example["index"]])]
    return Sequences(split, [row for row, _ in flat], [part for _, part in flat], wanted)


def runs(labels: list[int]) -> list[Span]:
    """Where labels stand: one span at the end in most rows, which is found without looking at each."""
    start, stop = labels.count(IGNORE), len(labels)
    if start == stop or IGNORE not in labels[start:]:
        return [(start, stop)] if start < stop else []
    learnt = [label != IGNORE for label in labels]
    edges = [place for place in range(stop) if learnt[place] != (place > 0 and learnt[place - 1])]
    edges += [stop] if len(edges) % 2 else []
    return list(zip(edges[::2], edges[1::2], strict=True))


def learnt_ids(example: dict[str, Any], spans: Sequence[Span]) -> list[int]:
    """The labels of all spans, one after another."""
    labels: list[int] = example["labels"]
    if len(spans) == 1:
        return labels[slice(*spans[0])]
    return [label for start, stop in spans for label in labels[start:stop]]
