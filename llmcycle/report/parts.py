"""Scores by part of the data, as `kept/tail` is of `kept`: one row or one line for what belongs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmcycle.evaluate.metric import Metric
from llmcycle.report.numbers import number
from llmcycle.report.record import StageRecord

ORDER = ("head", "middle", "tail")  # as data is mentioned often or rarely; other parts follow by name


def is_part(name: str, metrics: Mapping[str, Metric]) -> bool:
    """Whether a metric is a part of another one; of several parts at once, as the cells of a grid have, it is none."""
    whole, slash, part = name.partition("/")
    return bool(slash) and "/" not in part and whole in metrics


def wholes(metrics: Mapping[str, Metric]) -> list[str]:
    """Metrics that have parts, in order."""
    with_parts = {name.partition("/")[0] for name in metrics if is_part(name, metrics)}
    return [name for name in metrics if name in with_parts]


def part_names(records: Sequence[StageRecord]) -> list[str]:
    """Parts of all metrics of all stages, each once."""
    parts = {name.partition("/")[2] for record in records for name in record.metrics if is_part(name, record.metrics)}
    return sorted(parts, key=lambda part: (ORDER.index(part) if part in ORDER else len(ORDER), part))


def part_header(records: Sequence[StageRecord]) -> list[str]:
    """Columns of `part_rows`."""
    return ["stage", "measure", "before", "after", *part_names(records)]


def part_rows(records: Sequence[StageRecord]) -> list[list[str]]:
    """Of every stage and every metric with parts: the whole before and after, and each part before and after."""
    parts = part_names(records)
    rows = []
    for record in records:
        for place, name in enumerate(wholes(record.metrics)):
            whole = record.metrics[name]
            cells = [_both(record.metrics.get(f"{name}/{part}")) for part in parts]
            rows.append([record.name if place == 0 else "", name, *_ends(whole), *cells])
    return rows


def in_one_line(metrics: Mapping[str, Metric]) -> str:
    """As `kept 0.57 -> 0.27, learnt 0.00 -> 0.61`; "" where no metric has parts."""
    return ", ".join(f"{name} {_both(metrics[name])}" for name in wholes(metrics))


def _ends(metric: Metric) -> tuple[str, str]:
    return "" if metric.before is None else number(metric.before, metric.unit), number(metric.value, metric.unit)


def _both(metric: Metric | None) -> str:
    return "" if metric is None else " -> ".join(filter(None, _ends(metric)))
