"""One declarative framework for the whole life of a language model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmcycle.api import Result

__version__ = "0.1.0"


def run(recipe: str, overrides: Sequence[str] = ()) -> Result:
    """Run a recipe from Python: see `llmcycle.api.run`. Nothing heavy is imported before."""
    from llmcycle import api

    return api.run(recipe, overrides)
