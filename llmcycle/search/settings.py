"""What a recipe says of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from llmcycle.quantities import Count


@dataclass(frozen=True)
class Search:
    """How the values of swept settings are chosen.

    Args:
        sampler: chooses the values of the next trial, going by those that have ended.
        trials: settings to try, in all; fewer where the space has fewer.
        metric: what is made better; None for the headline of the last stage that has one.
        parallel: trials at a time; None for as many as the launcher runs at once.
        storage: where trials are recorded; None for a file in the sweep's folder.
        pruner: ends a trial early; None lets all of them end by themselves.
        space: settings and their values beside those that are typed, in Hydra's grammar.
    """

    sampler: BaseSampler
    trials: Count = 20
    metric: str | None = None
    parallel: Count | None = None
    storage: str | None = None
    pruner: BasePruner | None = None
    space: Mapping[str, str] = field(default_factory=dict)
