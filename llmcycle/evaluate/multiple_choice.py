"""Multiple choice by the log-likelihood of each option, as in the Language Model Evaluation Harness."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from transformers import PreTrainedTokenizerBase

from llmcycle.data.batches import Rows
from llmcycle.data.encode import Columns
from llmcycle.engine import Engine, completion_logprobs
from llmcycle.evaluate.metric import Better
from llmcycle.evaluate.scores import Scores, row_id
from llmcycle.quantities import Count

COLUMN = re.compile(r"\{(\w+)\}")  # in a template


class MultipleChoice:
    """`accuracy` and `accuracy_normalised`: 1 where the right option is the likeliest, else 0.

    An option is scored by the log-likelihood of " " + option after the prompt, as raw text without a chat template.
    The normalised score divides it by the option's length in characters (`acc_norm` of the harness). The first of
    equals wins.

    Args:
        rows: {"prompt", "choices", "label"}; those of `validation` are scored.
        template: the prompt, with the row's columns in braces.
        limit: score the first so many rows only.
    """

    scores: ClassVar[Mapping[str, Better]] = {"accuracy": "higher", "accuracy_normalised": "higher"}
    needs: ClassVar[frozenset[str]] = frozenset({"score"})

    rows_need: ClassVar[Columns] = (("prompt", "choices", "label"),)

    def __init__(self, rows: Rows, template: str = "{prompt}", limit: Count | None = None) -> None:
        self.rows, self.template, self.limit = rows, template, limit

    def __call__(self, engine: Engine) -> dict[str, Scores]:
        """See the class."""
        rows = self.rows.validation[: self.limit]
        parsed = [choices_of(row) for row in rows]
        prompts = [fill(self.template, row) for row in rows]
        logprobs = choice_logprobs(engine, prompts, [options for options, _ in parsed])
        plain, normalised = [], []
        for scores, (options, label) in zip(logprobs, parsed, strict=True):
            plain.append(float(best(scores) == label))
            normalised.append(float(best(normalise(scores, options)) == label))
        ids = [row_id(row.get("prompt"), *pair) for row, pair in zip(rows, parsed, strict=True)]
        return {"accuracy": Scores(plain, rows=ids), "accuracy_normalised": Scores(normalised, rows=ids)}


def choice_logprobs(engine: Engine, prompts: Sequence[str], choices: Sequence[Sequence[str]]) -> list[list[float]]:
    """log p(" " + choice | prompt) in nats for each choice of each prompt."""
    pairs = [
        split_ids(engine.tokenizer, prompt, choice)
        for prompt, options in zip(prompts, choices, strict=True)
        for choice in options
    ]
    scores = iter(completion_logprobs(engine, pairs))
    return [[next(scores) for _ in options] for options in choices]


def split_ids(tokenizer: PreTrainedTokenizerBase, context: str, continuation: str) -> tuple[list[int], list[int]]:
    """Ids of the context and of a blank and the continuation, which are tokenised together and then cut."""
    context = context.rstrip()
    context_ids: list[int] = tokenizer(context)["input_ids"]
    whole: list[int] = tokenizer(f"{context} {continuation}")["input_ids"]
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return whole[: len(context_ids)] or [start], whole[len(context_ids) :]


def choices_of(row: dict[str, Any]) -> tuple[list[str], int]:
    """The options of a row, its `choices`, and the place of the right one, its `label`.

    Raises:
        ValueError: a column is missing, or the label is no place among the choices.
    """
    if missing := [name for name in ("choices", "label") if name not in row]:
        raise ValueError(
            f"data.columns: multiple choice needs prompt, choices and label, but the rows have only {', '.join(row)}: "
            f"map {missing[0]}, as in `data.columns.choices=[sol1,sol2]` or `data.columns.label=NAME`"
        )
    options, label = [str(option).strip() for option in row["choices"]], int(row["label"])
    if not 0 <= label < len(options):
        raise ValueError(f"data.columns.label: {label} is no place among the choices {options}; the first is 0")
    return options, label


def fill(template: str, row: dict[str, Any]) -> str:
    """Put the row's columns into the template's braces.

    Raises:
        ValueError: the template names a column that the row lacks.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in row:
            raise ValueError(f"template: {{{match[1]}}} is no column of the rows, which have {', '.join(row)}")
        return str(row[match[1]])

    return COLUMN.sub(value, template)


def best(scores: Sequence[float]) -> int:
    """Place of the highest score."""
    return max(range(len(scores)), key=scores.__getitem__)


def normalise(logprobs: Sequence[float], options: Sequence[str]) -> list[float]:
    """Log-likelihood a character."""
    return [logprob / max(len(option), 1) for logprob, option in zip(logprobs, options, strict=True)]
