"""What came of every match: each two models on each prompt.

Shapes: P prompts, M models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmcycle.engine import Answer
from llmcycle.evaluate.reward import Reward
from llmcycle.evaluate.versus import preferences

Array = NDArray[np.float64]


class Matches(NamedTuple):
    """By how much each model beat each other one on each prompt.

    Args:
        names: of the models.
        wins: [P, M, M]: of 1, how much of the match the first has won, half of a tie; nan where there is no verdict.
        lengths: [P, M], of the answers in characters.
    """

    names: tuple[str, ...]
    wins: Array
    lengths: Array

    def take(self, prompts: NDArray[np.bool_]) -> Matches:
        """Those on some prompts."""
        return Matches(self.names, self.wins[prompts], self.lengths[prompts])


def judged(
    judge: Reward, rows: Sequence[Mapping[str, Any]], names: Sequence[str], answers: Sequence[Sequence[Answer]]
) -> Matches:
    """Every two models' answers to the rows, held against each other.

    Args:
        answers: of each model, one to each row.
    """
    wins = np.full((len(rows), len(names), len(names)), np.nan)
    for first, second in combinations(range(len(names)), 2):
        values = preferences(judge, rows, answers[first], answers[second])
        wins[:, first, second] = [np.nan if value is None else value for value in values]
        wins[:, second, first] = 1 - wins[:, first, second]
    lengths = np.array([[float(len(answer.text)) for answer in own] for own in answers]).T
    return Matches(tuple(names), wins, lengths)
