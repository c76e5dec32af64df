"""Run a recipe from Python: the same as typing it, with what came of it in place of a report on the terminal alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llmcycle.cli import outcomes
from llmcycle.command_line import Command
from llmcycle.evaluate.metric import Metrics
from llmcycle.report import StageRecord


@dataclass(frozen=True)
class Result:
    """What a run has made.

    Args:
        metrics: of its last stage, by name.
        artifact: the folder of its last stage's artifact.
        stages: the records of all stages, in order.
    """

    metrics: Metrics
    artifact: Path
    stages: tuple[StageRecord, ...] = field(repr=False)


def run(recipe: str, overrides: Sequence[str] = ()) -> Result:
    """Run a recipe.

    Args:
        recipe: a name, such as "finetune", or the path of a file.
        overrides: as they are typed after it: "inputs.model=...", "peft=dora".

    Raises:
        ValueError: the recipe is refused; the message says what to type instead.
        RuntimeError: a stage failed.
    """
    words = [recipe, *overrides]
    try:
        (outcome,) = outcomes(Command(words=[recipe], overrides=list(overrides)), words)
    except SystemExit as left:
        if isinstance(left.__cause__, Exception):
            raise left.__cause__ from None
        raise
    finally:
        sys.stdout.flush()
    last = outcome.records[-1]
    if last.error is not None:
        raise RuntimeError(f"{last.name}: {last.error}")
    return Result(last.metrics, Path(last.folder), outcome.records)
