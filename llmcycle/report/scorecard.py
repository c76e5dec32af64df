"""What a model is like before and after each stage, on one card: helpful, honest, harmless, and what that cost."""

from __future__ import annotations

from collections.abc import Sequence

from llmcycle.evaluate.metric import Metric
from llmcycle.report import numbers
from llmcycle.report.record import StageRecord

CORE = {
    "helpful": "helpful",
    "honest": "honest",
    "harmless": "harmless",
    "over_refusal": "over-refusal",
    "exact_match_known": "known facts",
    "general_bits_per_byte": "bits a byte",
}
# Shown where a stage on the card measures them: real data, and any reward of the answers.
FURTHER = {
    "truthful": "truthful",
    "preference_accuracy": "prefers what people chose",
    "accuracy": "multiple choice",
    "reward": "reward",
    "win_rate": "wins",
}
ALSO = {"truthful", "reward", "win_rate"}  # enough for a stage to stand on the card
NOTHING = "-"


def scorecard(records: Sequence[StageRecord]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: of each stage that measured one of `CORE` or `ALSO` its figures before and after it.

    A cell has the figure before and after, then the change with its interval (or the interval of a figure that has no
    before), then the number of rows; a dash where the stage did not measure it.
    """
    shown = [record for record in records if (CORE.keys() | ALSO) & record.metrics.keys()]
    names = {**CORE, **{name: title for name, title in FURTHER.items() if any(name in r.metrics for r in shown)}}
    arrows = {name: _arrow(name, shown) for name in names}
    rows = [[record.name, *(_cell(record.metrics.get(name)) for name in names)] for record in shown]
    header = ["stage", *(f"{title} {arrows[name]}".rstrip() for name, title in names.items())]
    return header, rows


def _arrow(name: str, records: Sequence[StageRecord]) -> str:
    return next((numbers.ARROWS[r.metrics[name].better] for r in records if name in r.metrics), "")


def _cell(metric: Metric | None) -> str:
    if metric is None:
        return NOTHING
    ends = " → ".join(filter(None, (numbers.before(metric), numbers.after(metric))))
    count = "" if metric.n is None else f"n {metric.n}"
    return "\n".join(filter(None, (ends, numbers.difference(metric), count)))
