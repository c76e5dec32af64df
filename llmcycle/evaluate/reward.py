"""What a reward is: the signature of TRL's reward functions, `(*, prompts, completions, **columns) -> list[float]`.

There is one entry an answer; the data's other columns come by name, and `completion_ids`, the answers' tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Protocol

from llmcycle.data.chat import Prompt
from llmcycle.engine import Answer

# What a reward is called with, by name: a column of the data that has such a name is left out, as TRL does.
ARGUMENTS = {"self", "prompt", "prompts", "completions", "completion_ids"}


class Reward(Protocol):
    """Scores answers; higher is better, the scale is the source's own."""

    def __call__(
        self, prompts: Sequence[Prompt], completions: Sequence[str], **columns: Sequence[Any]
    ) -> Sequence[float | None]:
        """One reward an answer; None where it does not apply. `columns` are those of the data, and `completion_ids`."""
        ...


def arguments(
    rows: Sequence[Mapping[str, Any]], completions: Sequence[str], completion_ids: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """What a reward is called with, from answers and the rows of the data behind them, one each.

    It sees every column that a row has, and None of one that another row has.
    """
    names = dict.fromkeys(name for row in rows for name in row)  # the sources of a mixture differ in them
    columns = {name: [row.get(name) for row in rows] for name in names if name not in ARGUMENTS}
    own = {"prompts": [row["prompt"] for row in rows], "completions": completions, "completion_ids": completion_ids}
    return {**columns, **own}


def raw(reward: Reward, rows: Sequence[Mapping[str, Any]], answers: Sequence[Answer]) -> Sequence[float | None]:
    """What a reward says of one answer to each row of the data."""
    return reward(**arguments(rows, [each.text for each in answers], [list(each.token_ids) for each in answers]))


def paid(reward: Reward, rows: Sequence[Mapping[str, Any]], answers: Sequence[Answer]) -> list[float]:
    """What one answer to each row of the data earns; of None see `filled`."""
    return filled(reward, [row["prompt"] for row in rows], raw(reward, rows, answers))


def fails(reward: Reward) -> bool:
    """Whether None of this reward is a failure, as a judge's, and not that it does not apply."""
    return bool(getattr(reward, "none_is_failure", False))


def filled(reward: Reward, prompts: Sequence[Prompt], values: Sequence[float | None]) -> list[float]:
    """Rewards without None: a reward that does not apply pays 0.

    Of an answer that a judge failed on nothing is known: it earns what the others to its prompt earn on the mean, or
    all others where there are none, so that it is neither praised nor blamed.
    """
    if not fails(reward):
        return [0.0 if value is None else float(value) for value in values]
    groups: dict[str, list[float]] = {}
    for prompt, value in zip(prompts, values, strict=True):
        if value is not None:
            groups.setdefault(repr(prompt), []).append(float(value))
    everywhere = [value for group in groups.values() for value in group] or [0.0]
    return [
        fmean(groups.get(repr(prompt), everywhere)) if value is None else float(value)
        for prompt, value in zip(prompts, values, strict=True)
    ]
