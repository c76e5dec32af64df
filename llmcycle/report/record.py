"""What a run knows of itself and of each of its stages: everything that a report is made from."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llmcycle.evaluate.metric import Metric, Metrics


@dataclass
class StageRecord:
    """One stage of a run, finished, skipped because its artifact exists, or failed.

    Args:
        name: the stage's name in the recipe.
        method: what was chosen for it, e.g. "lora" or "dpo".
        artifact_id: 12 hex digits; "" when there is no artifact.
        folder: the artifact's folder, as a user may type it.
        seconds: wall clock of this run; 0 when skipped.
        skipped: up to date, so that nothing was run.
        optimizer_steps: taken in this run; 0 when skipped and for stages that don't train.
        metrics: by name; one of them is marked as the headline.
        samples: {"prompt", "answer"} for each of the fixed prompts; empty when the stage's model doesn't write text.
        memory: of a stage that trains, in bytes, beside other ways to train it: `llmcycle.train.memory_table.Row`.
        curves: of a stage that trains, {"points", "judged", "resumed"}, and "followed" where a second reward watched
            how far a first one was followed: `llmcycle.left.curves`.
        choices: {"what", "chosen", "among", "by", "scored_on"} of all that was chosen: `llmcycle.left.choices`.
        own_rows: {"prompt", "expected", "got", "score"} of rows of its own data: `llmcycle.evaluate.scores.Scores`.
        drawn: of a stage that learns from its own answers, {"step", "prompt", "answer"} with their rewards by name.
        error: why it failed, in words for a user.
        holds_model: whether what it left can be loaded as a model.
        pruned: whether a search has ended it early; then `error` says at which step and by what.
        refused: whether it failed because of what it was told or given, so that the same command would fail again.
    """

    name: str
    method: str = ""
    artifact_id: str = ""
    folder: str = ""
    seconds: float = 0.0
    skipped: bool = False
    optimizer_steps: int = 0
    metrics: Metrics = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    memory: list[dict[str, Any]] = field(default_factory=list)
    curves: dict[str, Any] = field(default_factory=dict)
    choices: list[dict[str, str]] = field(default_factory=list)
    own_rows: list[dict[str, Any]] = field(default_factory=list)
    drawn: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    holds_model: bool = True
    refused: bool = False
    pruned: bool = False

    @property
    def state(self) -> str:
        """ "pruned", "failed", "up to date" or "done"."""
        if self.error is not None:
            return "pruned" if self.pruned else "failed"
        return "up to date" if self.skipped else "done"

    def plain(self) -> dict[str, Any]:
        """JSON values; a number that is not finite becomes null, because JSON has none."""
        metrics = {name: {key: _finite(item) for key, item in asdict(m).items()} for name, m in self.metrics.items()}
        return asdict(self) | {"metrics": metrics, "curves": finite_points(self.curves)}

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> StageRecord:
        """The record that `plain` wrote."""
        return cls(**{**plain, "metrics": read_metrics(plain["metrics"])})


@dataclass(frozen=True)
class RunFacts:
    """What holds for the whole run.

    Args:
        recipe: its name.
        command: what a user types to get the same again.
        config_sha256: of the composed configuration (`llmcycle.artifact.identify` without versions will do).
        seed: the run's.
        versions: of the libraries (`llmcycle.artifact.environment`).
        git: commit and dirty flag of the checkout (`llmcycle.artifact.git_state`), None outside one.
        lineage: the tree of the last artifact (`llmcycle.artifact.tree`).
        overrides: the command's own differences from the recipe, e.g. "peft=dora".
    """

    recipe: str
    command: str
    config_sha256: str = ""
    seed: int | None = None
    versions: Mapping[str, str | None] = field(default_factory=dict)
    git: Mapping[str, Any] | None = None
    lineage: str = ""
    overrides: tuple[str, ...] = ()


def read_report(path: Path) -> dict[str, Any]:
    """A run's report.json.

    Raises:
        ValueError: it is damaged.
    """
    try:
        report: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        remedy = shlex.join(["mv", str(path), f"{path}.damaged"])
        raise ValueError(f"{path}: it is damaged: {error}\n  try: {remedy}, and the run is left out") from None
    return report


def read_metrics(plain: Mapping[str, Mapping[str, Any]]) -> Metrics:
    """Metrics from their JSON form: a manifest's or a report's."""
    return {name: _metric(values) for name, values in plain.items()}


def _metric(values: Mapping[str, Any]) -> Metric:
    value, interval = values["value"], values.get("interval")
    value = math.nan if value is None else value
    return Metric(**{**values, "value": value, "interval": tuple(interval) if interval else None})


def finite_points(curves: Mapping[str, Any]) -> dict[str, Any]:
    """Curves without the values that are no numbers, which JSON has not."""
    return {name: _finite_values(part) for name, part in curves.items()}


def _finite_values(part: Any) -> Any:
    if isinstance(part, Mapping):
        values = {name: _finite_values(value) for name, value in part.items()}
        return {name: value for name, value in values.items() if not (isinstance(value, float) and math.isnan(value))}
    if isinstance(part, list):
        return [_finite_values(item) for item in part]
    return part if not isinstance(part, float) or math.isfinite(part) else math.nan


def _finite(value: object) -> Any:
    if isinstance(value, tuple):
        return list(value) if all(map(math.isfinite, value)) else None
    return None if isinstance(value, float) and not math.isfinite(value) else value
