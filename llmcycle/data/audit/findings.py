"""What the audit found, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmcycle.data.audit.rules import RULES

SHOWN = 10  # rows named


@dataclass(frozen=True)
class Finding:
    """Rows of one split that break one rule.

    Args:
        rows: their places in the data.
        total: rows of the split.
        detail: what was found in the first one.
        allowed: whether the recipe lets the rule pass.
    """

    rule: str
    split: str
    rows: tuple[int, ...]
    total: int
    detail: str
    allowed: bool

    def __str__(self) -> str:
        named = ", ".join(map(str, self.rows[:SHOWN])) + (", ..." if len(self.rows) > SHOWN else "")
        detail = f"; the first: {shown(self.detail)}" if self.detail else ""
        return (
            f"{len(self.rows)} of {self.total} {self.split} rows {RULES[self.rule].reason} "
            f"(row {named}; counted from 0{detail})"
        )


def report(findings: Sequence[Finding]) -> str:
    """Why training is refused: what is wrong, where, and what to do about it."""
    first, *others = findings
    rules = ",".join(dict.fromkeys(finding.rule for finding in findings))
    return "\n".join(
        [
            f"data: {first}: {RULES[first.rule].remedy}",
            *(f"also: {other}: {RULES[other.rule].remedy}" for other in others),
            f"to train nevertheless: batches.allow=[{rules}]",
        ]
    )


def shown(detail: str) -> str:
    """A detail on one short line."""
    line = " ".join(detail.split())
    return line if len(line) <= 80 else f"{line[:77]}..."
