"""What is compared: each method of a sweep at its best setting, each cell of a prompt grid, and models as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mode
from typing import Any, Literal

from llmcycle.evaluate import Metric, Scores, pair, read_scores
from llmcycle.evaluate.metric import Better, headline
from llmcycle.evaluate.scores import change, that_choose, that_score
from llmcycle.report import read_metrics, read_report
from llmcycle.report.sweep import is_seed

Kind = Literal["trained", "prompted", "untrained"]
Report = tuple[Path, Mapping[str, Any]]  # a run's folder, and what its report.json holds
COSTS = ("trainable_parameters", "gradient_and_optimizer_state_bytes", "peak_memory", "seconds")


@dataclass(frozen=True)
class Point:
    """One method and what it achieved.

    Args:
        label: the option's name, or what else sets it apart.
        value, interval: its score and the 95 % interval of that; None for a method that failed.
        scores: a value a row, to pair it with another method; None where the rows are not known.
        costs: `COSTS` by name, where they were measured; the mean of replicates.
        settings: how many settings were tried, of which this is the best.
        seeds: replicates that the score is the mean of.
        by_seed: the score of each of them.
        chosen: the overrides of the best setting, if there were several.
        error: why it failed.
    """

    label: str
    kind: Kind
    value: float | None
    interval: tuple[float, float] | None = None
    scores: Scores | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    settings: int = 1
    seeds: int = 1
    by_seed: Mapping[str, float] = field(default_factory=dict)
    chosen: str = ""
    error: str = ""


@dataclass(frozen=True)
class Run:
    """One stage of one run: an arm of a sweep, or a run of its own."""

    method: str
    metrics: Mapping[str, Metric]
    scores: Mapping[str, Scores]
    setting: str = ""
    seed: str = ""
    error: str = ""


def collect(folders: Sequence[Path], metric: str | None = None, stage: str | None = None) -> tuple[str, list[Point]]:
    """The metric that is compared, and a point for each method below `folders`: sweeps, runs or both.

    Where a method has several settings, every other row chooses the best one, and all methods are scored on the rest:
    a score that has chosen is too good by chance.

    Args:
        metric: its name; None for the headline of what was trained, else of what was evaluated as it is.
        stage: the trained stage to compare; None for the first that trained anything.

    Raises:
        ValueError: there is no report in a folder, or nothing in them has the metric.
    """
    reports = [report for folder in folders for report in read_reports(folder)]
    name = stage or _trained_stage(reports)
    runs = [run for report in reports for run in _runs(report, name)]
    evaluated = [run for report in reports for run in _evaluated(report)]
    leads = (headline(run.metrics) for run in [*runs, *evaluated])
    metric = metric or next((lead for lead in leads if lead is not None), "exact_match")
    points = [*_untrained(runs, metric), *_prompted(reports, metric), *_trained(runs, metric)]
    points += _as_they_are(evaluated, metric)
    if any(point.settings > 1 for point in points):
        points = [_scored_apart(point) for point in points]
    if not any(point.value is not None for point in points):
        known = sorted({key for _, report in reports for each in report["stages"] for key in each["metrics"]})
        raise ValueError(f"--metric {metric}: nothing below has it; there is {', '.join(known) or 'no metric at all'}")
    return metric, points


def read_reports(folder: Path) -> list[Report]:
    """The reports of a run, or of all arms of a sweep in the order of their numbers."""
    paths = sorted(folder.glob("*/report.json"), key=lambda path: (len(path.parent.name), path.parent.name))
    paths = [folder / "report.json"] if (folder / "report.json").exists() else paths
    if not paths:
        raise ValueError(f"{folder}: there is no report.json in it; name the folder of a run or of a sweep")
    return [(path.parent, read_report(path)) for path in paths]


def _trained_stage(reports: Iterable[Report]) -> str | None:
    """The first stage that trained a share of its model or all of it, and whose method differs between the reports."""
    methods: dict[str, set[str]] = {}
    for _, report in reports:
        for stage in report["stages"]:
            if "trainable_parameters" in stage["metrics"]:
                methods.setdefault(stage["name"], set()).add(stage["method"])
    return max(methods, key=lambda name: len(methods[name]), default=None)


def _runs(report: Report, name: str | None) -> list[Run]:
    folder, content = report
    setting = " ".join(text for text in content["run"]["overrides"] if not is_seed(text))
    return [
        Run(
            stage["method"],
            read_metrics(stage["metrics"]),
            _scores(folder, stage),
            setting=setting,
            seed=str(content["run"].get("seed")),
            error=_first_line(stage["error"]),
        )
        for stage in content["stages"]
        if stage["name"] == name
    ]


def _evaluated(report: Report) -> list[Run]:
    """The stages that only asked a model; `method` is what the model is called there."""
    folder, content = report
    places = [(stage, folder / stage["name"] / "engine.json") for stage in content["stages"]]
    return [
        Run(_name(json.loads(path.read_text("utf-8"))), read_metrics(stage["metrics"]), _scores(folder, stage))
        for stage, path in places
        if path.exists()
    ]


def _name(engine: Mapping[str, str]) -> str:
    return engine["model"] if "model" in engine else Path(engine["path"]).name


def _as_they_are(runs: Sequence[Run], metric: str) -> list[Point]:
    """A point for each model that was evaluated without being changed."""
    scores = {run.method: run.scores[metric] for run in runs if metric in run.scores}
    return [_scored(Point(label, "untrained", None), each) for label, each in scores.items()]


def _scores(folder: Path, stage: Mapping[str, Any]) -> dict[str, Scores]:
    """Scores by row of what a stage left, which is linked from the run's folder."""
    return read_scores(folder / stage["name"])


def _trained(runs: Sequence[Run], metric: str) -> list[Point]:
    """A point a method where the runs have several, else one a setting."""
    several = len({run.method for run in runs}) > 1
    settings = [run.setting for run in runs]
    groups: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        label = run.method if several else _distinct(run.setting, settings) or run.method
        groups.setdefault(label, {}).setdefault(run.setting, []).append(run)
    return [_best([_setting(label, replicates, metric) for replicates in settings.values()], settings)
            for label, settings in groups.items()]  # fmt: skip


def _best(points: Sequence[Point], settings: Mapping[str, Any]) -> Point:
    good = [point for point in points if point.value is not None]
    if not good:
        return replace(points[0], settings=len(points))
    lower = good[0].scores is not None and good[0].scores.better == "lower"
    best = (min if lower else max)(good, key=_chooses)
    return replace(best, settings=len(points), chosen=_distinct(best.chosen, settings) if len(points) > 1 else "")


def _chooses(point: Point) -> float:
    """The score on the rows that choose; of what has no scores by row its value."""
    return that_choose(point.scores).mean if point.scores else point.value or 0.0


def _scored_apart(point: Point) -> Point:
    """The point with its score on the rows that did not choose."""
    return _scored(point, that_score(point.scores)) if point.scores else point


def _scored(point: Point, scores: Scores) -> Point:
    """The point with these scores, over chance."""
    metric = change(None, scores)
    return replace(point, value=metric.value, interval=metric.interval, scores=scores)


def _distinct(setting: str, settings: Iterable[str]) -> str:
    """The overrides that not all settings share."""
    shared = set.intersection(*(set(each.split()) for each in settings))
    return " ".join(text for text in setting.split() if text not in shared)


def _setting(label: str, runs: Sequence[Run], metric: str) -> Point:
    """The replicates of one setting, row by row."""
    good = [run for run in runs if not run.error and metric in run.metrics]
    if not good:
        reasons = [run.error for run in runs if run.error]
        return Point(label, "trained", None, error=reasons[0] if reasons else f"it has no {metric}")
    costs = {
        key: sum(run.metrics[key].value for run in good) / len(good)
        for key in COSTS
        if all(key in run.metrics for run in good)
    }
    scores = mean_of([run.scores[metric] for run in good if metric in run.scores])
    by_seed = {run.seed: run.metrics[metric].value for run in good}
    mean = sum(run.metrics[metric].value for run in good) / len(good)
    point = Point(label, "trained", mean, None, None, costs, 1, len(good), by_seed, runs[0].setting)
    return _scored(point, scores) if scores else point


def _untrained(runs: Sequence[Run], metric: str) -> list[Point]:
    """The model that most methods started from; virtual tokens and decomposed weights begin a little elsewhere."""
    before = [run.metrics[metric].before for run in runs if metric in run.metrics]
    values = [value for value in before if value is not None]
    return [Point("before training", "untrained", mode(values))] if values else []


def _prompted(reports: Iterable[Report], metric: str) -> list[Point]:
    """The cells of prompt grids: templates and shots that touch no weight."""
    cells: dict[str, Scores] = {}
    for folder, report in reports:
        for stage in report["stages"]:
            left = _scores(folder, stage)
            cells |= {key.removeprefix(f"{metric}/"): s for key, s in left.items() if key.startswith(f"{metric}/")}
    return [_scored(Point(label, "prompted", None), each) for label, each in cells.items()]


def mean_of(replicates: Sequence[Scores]) -> Scores | None:
    """Row by row over replicates that answered the same rows; the first one's where they did not."""
    if not replicates:
        return None
    first = replicates[0]
    if any(each.rows != first.rows or each.weights != first.weights for each in replicates):
        return first
    columns = zip(*(each.values for each in replicates), strict=True)
    return replace(first, values=[sum(values) / len(replicates) for values in columns])


def _first_line(error: str | None) -> str:
    return ((error or "").splitlines() or [""])[0]


def against(point: Point, reference: Point) -> Metric | None:
    """How far a point is from the reference on the rows that both answered, with the paired 95 % interval."""
    if point is reference or point.scores is None or reference.scores is None:
        return None
    return pair(reference.scores, point.scores)


def direction(points: Sequence[Point]) -> Better:
    """Whether more is better, going by the scores."""
    return next((point.scores.better for point in points if point.scores is not None), "higher")
