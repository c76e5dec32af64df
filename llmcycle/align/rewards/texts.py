"""Rewards that look at an answer's text or length alone, or hold it against the answer in the data."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from llmcycle.align.rewards.columns import column, token_counts
from llmcycle.data.chat import Prompt
from llmcycle.data.encode import Columns
from llmcycle.evaluate.text_match import TextMatch
from llmcycle.quantities import Count, NotNegative

# A sign only where it can't be a hyphen or a minus between two numbers; commas only between thousands.
NUMBER = re.compile(r"(?:(?<![\w.)])-)?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?")


class Match:
    """1 where a completion is, or holds, the answer in the data, else 0.

    Args:
        match: when two answers are equal, and how an answer is found in a longer text.
        column: of the data, with the right answer.
    """

    @staticmethod
    def rows_need(column: str = "answer", **_: object) -> Columns:
        """The data's column that `check` looks for."""
        return ((column,),)

    def __init__(self, match: TextMatch | None = None, column: str = "answer") -> None:
        self.match, self.column = match or TextMatch(), column

    def __call__(
        self,
        prompts: Sequence[Prompt],  # noqa: ARG002  part of every source's signature
        completions: Sequence[str],
        **columns: Sequence[Any],
    ) -> list[float]:
        answers = column(columns, self.column)
        return [float(self.match(*pair)) for pair in zip(completions, answers, strict=True)]


class Regex:
    """1 where a regular expression is found in a completion, else 0; `.` matches a line's end too.

    Args:
        pattern: in Python's syntax, https://docs.python.org/3/library/re.html.
        whole: whether it must match the whole completion, without white space at both ends.
    """

    @staticmethod
    def preflight(pattern: str, **_: object) -> None:
        """Refuse, before anything is built, what is no regular expression."""
        compiled(pattern)

    def __init__(self, pattern: str, whole: bool = False) -> None:
        self.pattern, self.whole = compiled(pattern), whole

    def __call__(
        self,
        prompts: Sequence[Prompt],  # noqa: ARG002
        completions: Sequence[str],
        **_: Sequence[Any],
    ) -> list[float]:
        find = self.pattern.fullmatch if self.whole else self.pattern.search
        return [float(find(text.strip() if self.whole else text) is not None) for text in completions]


class Number:
    """1 where the last number in a completion equals the last one in the data's answer, else 0.

    It does not apply (None) to an answer in the data that holds no number. "1,200" is a number, and so is "2.5e3".

    Args:
        column: of the data, with the right answer.
        tolerance: the difference that still counts as equal, as a share of the larger number; near 0 as a number.
    """

    @staticmethod
    def rows_need(column: str = "answer", **_: object) -> Columns:
        """The data's column that `check` looks for."""
        return ((column,),)

    def __init__(self, column: str = "answer", tolerance: NotNegative = 1e-6) -> None:
        self.column, self.tolerance = column, tolerance

    def __call__(
        self,
        prompts: Sequence[Prompt],  # noqa: ARG002
        completions: Sequence[str],
        **columns: Sequence[Any],
    ) -> list[float | None]:
        answers = column(columns, self.column)
        return [self.compare(text, str(right)) for text, right in zip(completions, answers, strict=True)]

    def compare(self, completion: str, answer: str) -> float | None:
        """The reward of one completion."""
        wanted, number = last_number(answer), last_number(completion)
        if wanted is None:
            return None
        return float(
            number is not None and math.isclose(number, wanted, rel_tol=self.tolerance, abs_tol=self.tolerance)
        )


class Length:
    """-penalty times the tokens by which a completion misses its target: LCPO-Exact's term, arXiv:2503.04697, eq. 1.

    Args:
        target: tokens of an answer, the one that ends it included.
        penalty: reward lost by each token too many or too few.
        shorter: whether answers below the target lose too.
    """

    def __init__(self, target: Count, penalty: NotNegative, shorter: bool = True) -> None:
        self.target, self.penalty, self.shorter = target, penalty, shorter

    def __call__(
        self,
        prompts: Sequence[Prompt],  # noqa: ARG002
        completions: Sequence[str],  # noqa: ARG002
        **columns: Sequence[Any],
    ) -> list[float]:
        over = [count - self.target for count in token_counts(columns)]
        return [-self.penalty * (abs(each) if self.shorter else max(0, each)) for each in over]


def last_number(text: str) -> float | None:
    """The last number that a text holds; None where there is none."""
    numbers = NUMBER.findall(text.replace("\N{MINUS SIGN}", "-"))
    return float(numbers[-1].replace(",", "")) if numbers else None


def compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression.

    Raises:
        ValueError: it is none.
    """
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error as error:
        raise ValueError(f"pattern: {pattern!r} is no regular expression: {error}\n  try: pattern='.*'") from None
