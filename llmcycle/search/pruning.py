"""Whether the run that goes on here is to end early, asked of the search that began it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from hydra.utils import instantiate

from llmcycle.search.trials import ARMS, study_of


def reporter(search: Mapping[str, Any], folder: Path, arm: int) -> Callable[[int, float], bool] | None:
    """Records what is made less at each look, and says whether the run is to end; None where no trial has this arm.

    Args:
        search: the recipe's settings.
        folder: of the sweep.
        arm: the run's number. Of several replicates the first one alone reports.
    """
    study = study_of(folder, search.get("storage"), instantiate(search["pruner"]))
    frozen = next((trial for trial in study.trials if trial.user_attrs.get(ARMS, [None])[0] == arm), None)
    if frozen is None:
        return None
    trial = optuna.Trial(study, frozen._trial_id)

    def hopeless(look: int, value: float) -> bool:
        trial.report(value, look)
        return math.isnan(value) or trial.should_prune()

    return hopeless
