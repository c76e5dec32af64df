"""What a run finds around it, for as long as it lasts: a command line and environment variables."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Variables of the environment, which reach the processes of a launcher too.
ARMS = "LLMCYCLE_ARMS"  # how many arms a sweep has; set for each of them
FORCE = "LLMCYCLE_FORCE"  # set by --force
OUTPUTS = "LLMCYCLE_OUTPUTS"  # the folder of runs and artifacts, if no recipe or verb names one


def default_outputs() -> str:
    """The folder of runs and artifacts where nothing that is typed names it."""
    return os.environ.get(OUTPUTS) or "outputs"


def outputs_word(outputs: str, default: str | None = None) -> str:
    """What a verb is told beside an id, so that it finds the store below `outputs`; "" where it needs no word."""
    return "" if outputs == (default or default_outputs()) else f" outputs={outputs}"


@contextmanager
def typed(overrides: list[str]) -> Iterator[None]:
    """The command line as Hydra is to see it."""
    before, sys.argv = sys.argv, [sys.argv[0], *overrides]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def set_for(variables: dict[str, str]) -> Iterator[None]:
    """Environment variables for a run, which reach the processes of a launcher too."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
