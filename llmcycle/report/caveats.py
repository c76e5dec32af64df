"""What a reader should know before believing the numbers, notes by rule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from llmcycle.evaluate.metric import Metric, headline
from llmcycle.report.numbers import judge, number
from llmcycle.report.parts import is_part
from llmcycle.report.record import RunFacts, StageRecord

FEW = 100  # rows, prompts or tokens
WIDE_RATE = 0.1  # width of a rate's 95 % interval
ENDS = 0.95  # share of sampled answers that end by themselves, of a model that has learnt to
BIASES = {
    "position_bias": ("the answer that it is shown first", "the answer that it is shown second"),
    "length_bias": ("the longer answer", "the shorter answer"),
}
WIDE = 0.2  # width of another metric's 95 % interval, relative to the difference or to the value


def caveats(records: Sequence[StageRecord], facts: RunFacts) -> list[str]:
    """All that apply, most serious first."""
    notes = [f"{record.name} failed: {record.error}" for record in records if record.error is not None]
    for record in records:
        leading = headline(record.metrics)
        for name, metric in record.metrics.items():
            if is_part(name, record.metrics):
                continue  # its whole is spoken of
            reasons = _of_headline(metric) if name == leading else _of_metric(metric)
            notes += [f"{record.name}: {name} {reason}" for reason in reasons]
        others = [*_of_endings(record.metrics), *_of_judge(record.metrics)]
        notes += [f"{record.name}: {reason}" for reason in others]
    return notes + list(_of_run(facts))


def _of_metric(metric: Metric) -> Iterator[str]:
    if not math.isfinite(metric.value):
        yield "is not a finite number"
    if judge(metric) == "worse":
        yield "got worse, beyond its 95 % interval"


def _of_endings(metrics: Mapping[str, Metric]) -> Iterator[str]:
    ends = metrics.get("ends_by_itself")
    if ends is not None and ends.value < ENDS:
        yield f"only {ends.value:.0%} of answers drawn at temperature 1 end by themselves: the others run to the limit"


def _of_judge(metrics: Mapping[str, Metric]) -> Iterator[str]:
    """The biases of an audited judge, by name, where they are no chance."""
    for name, likes in BIASES.items():
        bias = metrics.get(name)
        if bias is not None and bias.interval is not None and not bias.interval[0] <= 0 <= bias.interval[1]:
            low, high = sorted(map(abs, bias.interval))
            liked = likes[0] if bias.value > 0 else likes[1]
            yield f"the judge prefers {liked}: {abs(bias.value):.0%} [{low:.0%}, {high:.0%}] of its verdicts go by that"


def _of_headline(metric: Metric) -> Iterator[str]:
    yield from _of_metric(metric)
    if metric.n is not None and metric.n < FEW:
        yield f"stands on few rows: {metric.n}, fewer than {FEW}"
    if metric.interval is not None and _wide(metric, *metric.interval):
        yield f"has a wide 95 % interval: {' to '.join(number(bound, metric.unit) for bound in metric.interval)}"


def _wide(metric: Metric, low: float, high: float) -> bool:
    """Wide for a rate; of another metric, wide beside what the interval is of: the difference, or the value."""
    size = abs(metric.value - (metric.before or 0.0))
    rate = metric.unit == "" and 0 <= metric.value <= 1
    return high - low > (WIDE_RATE if rate else WIDE * size) + 1e-9


def _of_run(facts: RunFacts) -> Iterator[str]:
    if facts.git is None:
        yield "the run did not start from a git checkout: the code has no commit"
    elif facts.git["dirty"]:
        yield f"dirty git tree: the code differs from commit {facts.git['commit'][:12]}"
    if facts.seed is not None:
        yield f"one seed ({facts.seed}): the intervals cover the rows that were scored, not another training run"
