"""One value a row, known by the row's digest, so that two models that answered the same rows can be compared later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from llmcycle.evaluate.interval import (
    Interval,
    are_shares,
    is_binary,
    mean_interval,
    paired_interval,
    share_interval,
    weighted_mean,
)
from llmcycle.evaluate.metric import Better, Metric

FILE = "scores.jsonl"
SHOWN = 12  # rows that a person is shown
DIGITS = 16  # hex digits of a row's digest: two of a million rows share one with a probability of 3e-8


@dataclass(frozen=True)
class Scores:
    """One value a row, in `unit`. The score is their mean, weighted by `weights` (e.g. tokens a row) where given.

    Args:
        chance: what guessing would score; metrics are corrected for it, so that 0 is a guess and 1 is all right.
        rows: `row_id` of each row; None for rows that nobody can find again.
        shown: of some rows what a person would look at, {"prompt", "expected", "got", "score", "row"}: see `to_show`.
    """

    values: list[float]
    better: Better = "higher"
    unit: str = ""
    weights: list[float] | None = None
    rows: list[str] | None = None
    shown: list[dict[str, Any]] | None = None
    chance: float = 0.0

    @property
    def mean(self) -> float:
        """The score; raises ValueError if there are no rows."""
        if not self.values:
            raise ValueError("values: no rows to score; the data set is empty or a limit is 0")
        return weighted_mean(self.values, self.weights)

    def take(self, places: Sequence[int]) -> Scores:
        """The scores of some rows alone, by their places."""
        weights = None if self.weights is None else [self.weights[i] for i in places]
        rows = None if self.rows is None else [self.rows[i] for i in places]
        shown = [each for each in self.shown or () if rows is None or each["row"] in rows]
        return replace(self, values=[self.values[i] for i in places], weights=weights, rows=rows, shown=shown or None)


def to_show(
    prompts: Sequence[Any], expected: Sequence[str], got: Sequence[str], values: Sequence[float], ids: Sequence[str]
) -> list[dict[str, Any]]:
    """At most `SHOWN` rows: of those in the lower half of the scores the first, then of the others."""
    rows = [
        {"prompt": prompt, "expected": right, "got": answer, "score": value, "row": row}
        for prompt, right, answer, value, row in zip(prompts, expected, got, values, ids, strict=True)
    ]
    middle = (min(values, default=0.0) + max(values, default=0.0)) / 2
    low, high = [row for row in rows if row["score"] < middle], [row for row in rows if row["score"] >= middle]
    few = min(len(low), max(SHOWN // 2, SHOWN - len(high)))
    return low[:few] + high[: SHOWN - few]


def row_id(*parts: object) -> str:
    """What a row is known by: the first digits of the sha256 of everything in it that an evaluator reads."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def write_scores(out: Path, scores: Mapping[str, Scores]) -> None:
    """`out`/scores.jsonl: a line for each metric, {"metric", "better", "unit", "rows", "values", "weights"}."""
    lines = [json.dumps({"metric": name, **asdict(each)}) + "\n" for name, each in scores.items() if each.rows]
    (out / FILE).write_text("".join(lines), "utf-8")


def read_scores(folder: Path) -> dict[str, Scores]:
    """What `write_scores` left in a folder, by metric; nothing where it has left nothing."""
    path = folder / FILE
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return {str(line.pop("metric")): Scores(**line) for line in map(json.loads, lines)}


def without(scores: Mapping[str, Scores], rows: Collection[str]) -> dict[str, Scores]:
    """The scores without those of some rows; one that would have none left stays away."""
    left = {name: _without(each, rows) for name, each in scores.items()}
    return {name: each for name, each in left.items() if each.values}


def that_choose(scores: Scores) -> Scores:
    """Rows 0, 2, 4, ...: what is chosen by its score is too good on these by chance."""
    return scores.take(range(0, len(scores.values), 2))


def that_score(scores: Scores) -> Scores:
    """Rows 1, 3, 5, ...: those that chose nothing; all of one row alone."""
    return scores.take(range(1, len(scores.values), 2)) if len(scores.values) > 1 else scores


def pair(before: Scores, after: Scores) -> Metric | None:
    """The metric over the rows that both have, with the paired interval of its change; None if they share no row.

    A row that is there several times is paired by its occurrence.
    """
    place = {key: i for i, key in enumerate(_occurrences(before.rows or ()))}
    common = [(place[key], i) for i, key in enumerate(_occurrences(after.rows or ())) if key in place]
    if not common:
        return None
    return change(before.take([i for i, _ in common]), after.take([i for _, i in common]))


def change(before: Scores | None, after: Scores) -> Metric:
    """The metric with the interval of its change, or of itself if there is nothing `before`; rows are in one order."""
    n = len(after.values)
    enough = n > 1 or (after.weights is None and is_binary(after.values))
    if before is None:
        metric = Metric(after.mean, None, own_interval(after) if enough else None, after.better, after.unit, n)
    else:
        paired = _paired(before, after) if enough else None
        metric = Metric(after.mean, before.mean, paired, after.better, after.unit, n)
    return over_chance(metric, after.chance)


def over_chance(metric: Metric, chance: float) -> Metric:
    """The metric such that a guess, which scores `chance`, has 0, and all right stays 1."""

    def corrected(value: float) -> float:
        return (value - chance) / (1 - chance)

    if metric.interval is None:
        interval = None
    elif metric.before is None:
        interval = corrected(metric.interval[0]), corrected(metric.interval[1])
    else:  # of a change, from which the guess is gone already
        interval = metric.interval[0] / (1 - chance), metric.interval[1] / (1 - chance)
    before = None if metric.before is None else corrected(metric.before)
    return replace(metric, value=corrected(metric.value), before=before, interval=interval)


def own_interval(scores: Scores) -> Interval:
    """The interval of a score itself; that of a rate, which has no unit, stays within 0 and 1."""
    if not scores.unit and scores.weights is None and are_shares(scores.values) and not is_binary(scores.values):
        return share_interval(scores.values)
    return mean_interval(scores.values, scores.weights)


def _paired(before: Scores, after: Scores) -> Interval:
    return paired_interval(before.values, after.values, after.weights, before.weights)


def _without(scores: Scores, rows: Collection[str]) -> Scores:
    return scores.take([i for i, row in enumerate(scores.rows) if row not in rows]) if scores.rows else scores


def _occurrences(rows: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Each row and how often it was there before."""
    seen: dict[str, int] = {}
    for row in rows:
        yield row, seen.get(row, 0)
        seen[row] = seen.get(row, 0) + 1
