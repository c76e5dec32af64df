"""A run tells of what it has reached to whoever listens, and may be told to end; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Called with the number of the look, from 1, and with what is made less; says whether the run is to end.
Reporter = Callable[[int, float], bool]
REPORTER: ContextVar[Reporter | None] = ContextVar("reporter", default=None)


class Pruned(ValueError):
    """A run that ends early because others were better at the same step."""


@contextmanager
def reporting(reporter: Reporter | None) -> Iterator[None]:
    """Let the stages that train inside report."""
    before = REPORTER.set(reporter)
    try:
        yield
    finally:
        REPORTER.reset(before)
