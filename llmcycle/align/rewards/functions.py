"""Functions as rewards: the user's own by their path, and those of TRL."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmcycle.align.rewards.columns import column
from llmcycle.data.chat import Prompt
from llmcycle.data.encode import Columns

GIVEN = {"prompts", "completions", "completion_ids"}  # what every reward is called with
VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)

Function = Callable[..., Sequence[float | None]]


class FunctionReward:
    """Any function of a reward's arguments: it is called with those that it names, or with all if it takes `**kwargs`.

    Args:
        function: `(prompts, completions, **columns) -> list[float | None]`.
        messages: whether it reads each answer as a list of one message, as functions of TRL do, instead of a text.
        columns: what the data calls a column, by what the function calls it.

    Raises:
        ValueError: when it is called, and the data lacks a column that the function can't do without.
    """

    @staticmethod
    def rows_need(function: Function | None = None, columns: Mapping[str, str] | None = None, **_: object) -> Columns:
        """The data's columns that `check` looks for."""
        mapped = dict(columns or {})
        return ((*mapped.values(), *(name for name in needed(function) if name not in mapped)),)

    def __init__(self, function: Function, messages: bool = False, columns: Mapping[str, str] | None = None) -> None:
        self.function, self.messages, self.columns = function, messages, dict(columns or {})
        parameters = inspect.signature(function).parameters.values()
        self.takes = {parameter.name for parameter in parameters if parameter.kind not in VARIADIC}
        self.takes_all = any(parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters)

    def __call__(
        self, prompts: Sequence[Prompt], completions: Sequence[str], **columns: Sequence[Any]
    ) -> Sequence[float | None]:
        answers = [[{"role": "assistant", "content": text}] for text in completions] if self.messages else completions
        mapped = {name: column(columns, own, f"reward.columns.{name}") for name, own in self.columns.items()}
        for name in needed(self.function):
            if name not in mapped:
                column(columns, name, "reward.function")
        arguments = {**columns, **mapped, "prompts": prompts, "completions": answers}
        wanted = arguments if self.takes_all else {name: arguments[name] for name in self.takes & arguments.keys()}
        return self.function(**wanted)


class TrlReward(FunctionReward):
    """A reward function of TRL, which reads an answer as a list of one message.

    Args:
        function: one of `trl.rewards`, or of its signature.
        columns: what the data calls a column, by what the function calls it.
    """

    def __init__(self, function: Function, columns: Mapping[str, str] | None = None) -> None:
        super().__init__(function, messages=True, columns=columns)


def needed(function: Function | None) -> list[str]:
    """The columns of the data that a function can't be called without; none of one that is only made later (None)."""
    return [
        parameter.name
        for parameter in (inspect.signature(function).parameters.values() if function else ())
        if parameter.kind not in VARIADIC and parameter.default is parameter.empty and parameter.name not in GIVEN
    ]
