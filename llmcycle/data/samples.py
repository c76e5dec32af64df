"""Prompts that a recipe gives to be answered after every stage."""

from __future__ import annotations

from llmcycle.data.chat import Prompt


def fixed(prompts: list[Prompt]) -> list[Prompt]:
    """The prompts as they stand, so that an option file can hold them beside generated ones.

    Raises:
        ValueError: there are none.
    """
    if not prompts:
        raise ValueError("samples.prompts is empty; give a prompt, or leave the samples part out")
    return prompts
