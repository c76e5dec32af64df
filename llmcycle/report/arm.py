"""What the terminal says of one arm of a sweep: a line."""

from __future__ import annotations

from collections.abc import Sequence

from llmcycle.evaluate.metric import headline
from llmcycle.printable import printable
from llmcycle.report.numbers import duration, number, title
from llmcycle.report.record import StageRecord


def arm_line(
    records: Sequence[StageRecord], label: str, place: int, count: int, elapsed: float, done: int, earlier: int = 0
) -> str:
    """As `arm 3 of 8  peft=dora  finetune exact_match 0.630, 42 s, about 3 min left`.

    Args:
        records: the arm's stages.
        label: what sets it apart.
        place: its number, from 1.
        count: of all arms; 0 where that is not known.
        elapsed: seconds since the sweep began.
        done: arms that have ended since then, this one too.
        earlier: arms that had ended before.
    """
    which = f"arm {place} of {count}" if count else f"arm {place}"
    seconds = sum(record.seconds for record in records)
    parts = [result(records), "up to date" if all(r.skipped for r in records) else duration(seconds)]
    if 0 < done < count - earlier:
        parts.append(f"about {duration(elapsed / done * (count - earlier - done))} left")
    return printable("  ".join(filter(None, [which, label, ", ".join(parts)])))


def result(records: Sequence[StageRecord]) -> str:
    """The headline of the last stage that has one; of a failed arm where it failed."""
    failed = next((record for record in records if record.error is not None), None)
    if failed is not None:
        return f"{failed.name} {failed.error}" if failed.pruned else f"failed at {failed.name}"
    for record in reversed(records):
        if (name := headline(record.metrics)) is not None:
            metric = record.metrics[name]
            return f"{record.name} {title(name, metric)} {number(metric.value, metric.unit)}"
    return "done"
