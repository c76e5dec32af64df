"""How a question, and solved examples before it, are written for the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmcycle.data.encode import Columns
from llmcycle.evaluate.multiple_choice import COLUMN, fill


@dataclass(frozen=True)
class Template:
    """A prompt with the row's columns in braces.

    Args:
        text: the question as the model sees it, e.g. "Question: {prompt}\\nAnswer:".
        shot: a solved example, e.g. "Question: {prompt}\\nAnswer: {answer}"; by default `text`, a blank and "{answer}".
        instruction: what stands before everything else.
        separator: between instruction, examples and question.
        stop: texts at which the answer ends, beside the model's own end tokens.
    """

    text: str
    shot: str | None = None
    instruction: str = ""
    separator: str = "\n\n"
    stop: Sequence[str] = ()

    @staticmethod
    def rows_need(text: str, shot: str | None = None, shots: bool = False, **_: object) -> Columns:
        """Columns that a template names, in its solved examples too where there are `shots`."""
        example = (shot if shot is not None else f"{text} {{answer}}") if shots else ""
        return (tuple(dict.fromkeys(COLUMN.findall(text + example))),)

    def render(self, row: dict[str, Any], shots: Sequence[dict[str, Any]] = ()) -> str:
        """The whole prompt for `row` after the solved examples `shots`.

        Raises:
            ValueError: a column that the template names is not in the row.
        """
        example = self.shot if self.shot is not None else f"{self.text} {{answer}}"
        parts = [*(fill(example, shot) for shot in shots), fill(self.text, row)]
        return self.separator.join([self.instruction, *parts] if self.instruction else parts)
