"""Prompts that a recipe gives to be answered after every stage."""

from __future__ import annotations

from llmcycle.data.batches import Rows
from llmcycle.data.chat import Prompt
from llmcycle.data.encode import Row
from llmcycle.quantities import Count

WORDS = 4  # of a text that a model is asked to go on with


def fixed(prompts: list[Prompt]) -> list[Prompt]:
    """The prompts as they stand, so that an option file can hold them beside generated ones.

    Raises:
        ValueError: there are none.
    """
    if not prompts:
        raise ValueError("samples.prompts is empty; give a prompt, or leave the samples part out")
    return prompts


def own(rows: Rows, count: Count = 8) -> list[Prompt]:
    """Prompts of the data itself: its attribute `samples` where it has one, else of its first validation rows.

    Rows of plain text give their first words, which a model goes on with.
    """
    prompts = getattr(rows, "samples", None) or [prompt_of(row) for row in (rows.validation or rows.train)[:count]]
    return [prompt for prompt in prompts[:count] if prompt]


def prompt_of(row: Row) -> Prompt:
    """What a row asks, or how its text begins."""
    if "prompt" in row:
        return row["prompt"]  # type: ignore[no-any-return]
    return " ".join(str(row.get("text", "")).split()[:WORDS])
