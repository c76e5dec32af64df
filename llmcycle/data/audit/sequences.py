"""The token sequences of one split, each with its row and with what the row asks for. S sequences, T tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from llmcycle.data.chat import IGNORE
from llmcycle.data.encode import Example, Exchange, Row
from llmcycle.data.truncation import parts

Key = tuple[tuple[int, ...], ...]
Span = tuple[int, int]  # from the first token to after the last one


@dataclass
class Sequences:
    """Sequences side by side.

    Args:
        split: train or validation.
        rows: of each sequence, its row's place in the data.
        examples: `input_ids` (T), and `labels` (T) where there is something to learn.
        exchanges: what each row asks for; None where the encoder does not keep rows apart.
        runs: of each sequence, the spans of tokens that are learnt.
        taught: the labels of those spans, one after another.
        keys: of each row, some of its tokens, which tell it from most others.
    """

    split: str
    rows: list[int]
    examples: list[Example]
    exchanges: list[Exchange] | None
    keys: list[Key]
    runs: list[list[Span]] = field(init=False)
    taught: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        learnt_spans = [spans(example["labels"]) if "labels" in example else ([], []) for example in self.examples]
        self.runs, self.taught = [where for where, _ in learnt_spans], [labels for _, labels in learnt_spans]

    @property
    def learnt(self) -> bool:
        """Whether there are labels at all: prompts to generate from have none."""
        return "labels" in self.examples[0]

    def __len__(self) -> int:
        return len(self.examples)


def gather(
    split: str, rows: Sequence[Row], examples: Sequence[Example], exchanges: Callable[[Row], list[Exchange]] | None
) -> Sequences:
    """The sequences of a split, two for a pair.

    Args:
        exchanges: the encoder's own word for what a row asks for, one entry a sequence.
    """
    flat = [(example["index"], part) for example in examples for part in parts(example)]
    wanted = (
        None
        if exchanges is None
        else [exchange for example in examples for exchange in exchanges(rows[example["index"]])]
    )
    keys = [] if exchanges is None else [_key(example) for example in examples]
    return Sequences(split, [row for row, _ in flat], [part for _, part in flat], wanted, keys)


def _key(example: Example) -> Key:
    """A few tokens of every sequence, spread over it."""
    ids = [part["input_ids"] for part in parts(example)]
    return tuple((len(sequence), *sequence[:: len(sequence) // 8 + 1]) for sequence in ids)


def spans(labels: list[int]) -> tuple[list[Span], list[int]]:
    """Where labels stand, and these: one span at the end in most rows, which is found without looking at each."""
    start, stop = labels.count(IGNORE), len(labels)
    tail = labels[start:]
    if IGNORE not in tail:
        return ([(start, stop)] if tail else []), tail
    learnt = [label != IGNORE for label in labels]
    edges = [place for place in range(stop) if learnt[place] != (place > 0 and learnt[place - 1])]
    edges += [stop] if len(edges) % 2 else []
    runs = list(zip(edges[::2], edges[1::2], strict=True))
    return runs, [label for first, last in runs for label in labels[first:last]]
