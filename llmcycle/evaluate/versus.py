"""Answers against each other, by a judge or by any reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmcycle.engine import Answer
from llmcycle.evaluate.reward import Reward, raw
from llmcycle.judge import Judge, Value, mean

TIE = 0.05  # a preference nearer to 0.5 than this is a tie


def orders(
    judge: Reward, rows: Sequence[Mapping[str, Any]], first: Sequence[Answer], second: Sequence[Answer]
) -> list[tuple[Value, ...]]:
    """P(the first answer is better) for each order in which a judge was shown the two; a reward sees no order.

    Args:
        rows: of the data, with the columns that a reward reads.
    """
    if isinstance(judge, Judge):
        texts = [[answer.text for answer in answers] for answers in (first, second)]
        return judge.orders([row["prompt"] for row in rows], *texts)
    pairs = zip(raw(judge, rows, first), raw(judge, rows, second), strict=True)
    return [(higher(a, b),) for a, b in pairs]


def preferences(
    judge: Reward, rows: Sequence[Mapping[str, Any]], first: Sequence[Answer], second: Sequence[Answer]
) -> list[Value]:
    """The same over both orders; None where the judge failed in one of them."""
    return [mean(values) for values in orders(judge, rows, first, second)]


def higher(a: Value, b: Value) -> Value:
    """1 for the higher of two rewards, 0.5 for equal ones."""
    return None if a is None or b is None else 0.5 if a == b else float(a > b)


def is_tie(value: float) -> bool:
    """Whether neither is preferred."""
    return abs(value - 0.5) < TIE
