"""Where the values of a setting lie on an axis: numbers in order, perhaps by their logarithm, words side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from llmcycle.report.numbers import number

WHOLE = 1e6  # below it whole numbers are written in full
WIDE = 20  # times the lowest value, from where on an axis is logarithmic


@dataclass(frozen=True)
class Axis:
    """An axis of a setting or of a score.

    Args:
        name: its key, or the metric.
        values: all that occur on it, as texts.
    """

    name: str
    values: Sequence[str]

    @property
    def numbers(self) -> list[float]:
        """The values in order; [] where one of them is no number."""
        numbers = [as_number(value) for value in self.values]
        return [] if None in numbers else sorted({number for number in numbers if number is not None})

    @property
    def logarithmic(self) -> bool:
        """Whether the values span too much for a straight scale."""
        numbers = self.numbers
        return bool(numbers) and numbers[0] > 0 and numbers[-1] >= WIDE * numbers[0]

    def place(self, value: str) -> float:
        """From 0 to 1, the lowest number or the first word at 0."""
        if not self.numbers:
            words = self.words
            return words.index(value) / (len(words) - 1) if len(words) > 1 else 0.5
        low, high, own = (self._scaled(each) for each in (self.numbers[0], self.numbers[-1], float(value)))
        return (own - low) / (high - low) if high > low else 0.5

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.logarithmic else value

    @property
    def words(self) -> list[str]:
        """The values that are no numbers, as they first occur."""
        return list(dict.fromkeys(self.values))

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Place and label of what is written beside the axis: both ends, or each word."""
        if not self.numbers:
            return [(self.place(word), word) for word in self.words]
        ends = dict.fromkeys((self.numbers[0], self.numbers[-1]))
        return [(self.place(str(end)), as_written(end)) for end in ends]


def as_number(text: str) -> float | None:
    """A value that can be put in order; None for a word, and for what is not finite."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def as_written(value: float) -> str:
    """A number, whole ones without digits behind the point."""
    return f"{value:.0f}" if value == int(value) and abs(value) < WHOLE else number(value)
