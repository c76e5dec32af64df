"""What a search says of itself at its end."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from llmcycle.evaluate.scores import read_scores, that_choose, that_score
from llmcycle.report import read_metrics, read_report
from llmcycle.report.numbers import duration, number
from llmcycle.report.sweep import is_seed, typed_recipe
from llmcycle.search.ending import leading
from llmcycle.search.trials import ARMS, REASON, SECONDS, study_of


def summary(folder: Path, search: Mapping[str, Any]) -> str:
    """Lines: how the trials ended, what pruning saved, and the best of them as a command."""
    trials = study_of(folder, search.get("storage")).trials
    lines = [counts(trials), time_saved(trials), best(folder, trials, search.get("metric"))]
    return "\n".join(filter(None, lines))


def of_state(trials: Sequence[FrozenTrial], state: TrialState) -> list[FrozenTrial]:
    """Those that ended in one way."""
    return [trial for trial in trials if trial.state is state]


def counts(trials: Sequence[FrozenTrial]) -> str:
    """As `30 trials: 21 complete, 8 pruned, 1 failed (loss is no number)`."""
    failed = of_state(trials, TrialState.FAIL)
    reasons = dict.fromkeys(str(trial.user_attrs.get(REASON, "")).partition("\n")[0] for trial in failed)
    parts = [
        f"{len(of_state(trials, TrialState.COMPLETE))} complete",
        f"{len(of_state(trials, TrialState.PRUNED))} pruned",
        f"{len(failed)} failed{f' ({next(iter(reasons))})' if reasons else ''}",
    ]
    ended = ", ".join(part for part in parts if not part.startswith("0 "))
    return f"{len(trials)} {'trial' if len(trials) == 1 else 'trials'}: {ended}"


def time_saved(trials: Sequence[FrozenTrial]) -> str:
    """How much time pruning saved, by what whole trials took."""
    whole = [float(trial.user_attrs[SECONDS]) for trial in of_state(trials, TrialState.COMPLETE)]
    pruned = [float(trial.user_attrs[SECONDS]) for trial in of_state(trials, TrialState.PRUNED)]
    if not whole or not pruned:
        return ""
    mean = fmean(whole)
    less = sum(mean - seconds for seconds in pruned)
    return f"pruning saved about {duration(less)} of {duration(mean * len(trials))}" if less > 0 else ""


def best(folder: Path, trials: Sequence[FrozenTrial], metric: str | None) -> str:
    """The command of the best trial, with its score on rows that chose nothing where there are any."""
    complete = [
        trial
        for trial in of_state(trials, TrialState.COMPLETE)
        if all((folder / str(arm) / "report.json").exists() for arm in trial.user_attrs[ARMS])
    ]
    if not complete:
        return "no trial is complete, so none is the best"
    top = min(complete, key=lambda trial: trial.value if trial.value is not None else 0.0)
    run = read_report(folder / str(top.user_attrs[ARMS][0]) / "report.json")["run"]
    words = [text for text in run["overrides"] if not is_seed(text) and not text.lstrip("+").startswith("search")]
    values = [score(folder / str(arm), metric) for arm in top.user_attrs[ARMS]]
    return f"best: {shlex.join(['llmcycle', typed_recipe(run), *words])}  ({in_words(values)})"


def score(arm: Path, metric: str | None) -> tuple[float, float | None]:
    """The metric of an arm on the rows that chose, and on those that did not; of one without rows its value alone."""
    name, stage = leading(read_report(arm / "report.json")["stages"], metric)
    scores = read_scores(arm / stage["name"]).get(name)
    if scores is None:
        return read_metrics(stage["metrics"])[name].value, None
    return that_choose(scores).mean, that_score(scores).mean


def in_words(values: Sequence[tuple[float, float | None]]) -> str:
    """The means over replicates, in words."""
    chose, apart = fmean(pair[0] for pair in values), [pair[1] for pair in values if pair[1] is not None]
    if not apart:
        return number(chose)
    return f"{number(fmean(apart))} on rows that did not choose, {number(chose)} on those that did"
