"""The cells of a prompt search, and what the model answers in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch

from llmcycle.data.chat import Prompt
from llmcycle.engine import Engine
from llmcycle.evaluate.exact_match import reference
from llmcycle.evaluate.multiple_choice import choices_of
from llmcycle.evaluate.text_match import TextMatch
from llmcycle.prompt.decoding import Decoding, decode
from llmcycle.prompt.template import Template

Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One way to ask: the names of a template and of a decoding strategy, and how many solved examples go before."""

    template: str
    shots: int
    decoding: str

    def __str__(self) -> str:
        return f"{self.template}/{self.shots}-shot/{self.decoding}"


@dataclass(frozen=True)
class Prediction:
    """What the model answered to `input`, the template filled with a row's `prompt`."""

    prompt: Prompt
    input: str
    prediction: str
    reference: str
    correct: bool


@dataclass(frozen=True)
class Grid:
    """Templates by name x numbers of shots x decoding strategies by name; `examples` are the shots to take from.

    Raises:
        ValueError: an axis is empty, the baseline is none of the templates, or there are fewer examples than shots.
    """

    templates: Mapping[str, Template]
    shots: Sequence[int]
    decodings: Mapping[str, Decoding]
    baseline: str
    examples: Sequence[Row]
    match: TextMatch
    seed: int

    def __post_init__(self) -> None:
        for name, axis in (("prompt", self.templates), ("stage.shots", self.shots), ("generate", self.decodings)):
            if not axis:
                raise ValueError(f"{name}: the search needs at least one option; name one in the recipe's defaults")
        if self.baseline not in self.templates:
            known = ", ".join(self.templates)
            raise ValueError(f"stage.baseline: {self.baseline} is no template of this recipe; choose one of {known}")
        if not 0 <= min(self.shots) <= max(self.shots) <= len(self.examples):
            raise ValueError(
                f"stage.shots: {list(self.shots)} must lie between 0 and {len(self.examples)} rows to take from"
                f"\n  try: stage.shots=[{','.join(str(k) for k in self.shots if 0 <= k <= len(self.examples)) or 0}]"
            )

    @property
    def base(self) -> Cell:
        """The cell that the others are compared with: the baseline template, no shots, the first decoding strategy."""
        return Cell(self.baseline, 0, next(iter(self.decodings)))

    @property
    def cells(self) -> list[Cell]:
        """All cells, the baseline first."""
        grid = [Cell(t, k, d) for t in self.templates for k in self.shots for d in self.decodings]
        return [self.base, *(cell for cell in grid if cell != self.base)]

    def examples_of(self, cell: Cell) -> list[Row]:
        """The cell's solved examples: drawn once, so that fewer shots are the first of more."""
        return Random(self.seed).sample(list(self.examples), max(self.shots))[: cell.shots]

    def inputs(self, cell: Cell, rows: Sequence[Row]) -> list[str]:
        """What the model is given for each row."""
        template, shots = self.templates[cell.template], self.examples_of(cell)
        return [template.render(row, shots) for row in rows]

    def answer(self, cell: Cell, engine: Engine, rows: Sequence[Row], decoding: Decoding | None = None) -> list[str]:
        """Answers to rows, decoded as the cell says or by `decoding`. Draws depend on the seed alone."""
        template, inputs = self.templates[cell.template], self.inputs(cell, rows)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            decoding = decoding or self.decodings[cell.decoding]
            return decode(decoding, engine, inputs, rows, self.match, template.stop)

    def predict(self, cell: Cell, engine: Engine, rows: Sequence[Row]) -> list[Prediction]:
        """The cell's answers beside the right ones."""
        answers = self.answer(cell, engine, rows)
        return [
            Prediction(row["prompt"], text, answer, right_answer(row), self.match(answer, right_answer(row)))
            for row, text, answer in zip(rows, self.inputs(cell, rows), answers, strict=True)
        ]


def right_answer(row: Row) -> str:
    """The right option of a multiple-choice row, else the row's answer."""
    if "choices" not in row:
        return reference(row)
    options, label = choices_of(row)
    return options[label]
