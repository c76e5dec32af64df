"""What the terminal says at the end of a sweep, and sweep.txt keeps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from llmcycle.report.effects import effects
from llmcycle.report.sweep import Arm, best, ranked, read_arms, render, table

SHOWN = 10  # arms of a search


def print_sweep(sweep: Path) -> None:
    """Print the table of a sweep, the effects of its factors and the best arm."""
    arms = read_arms(sweep)
    if arms:
        tell(sweep, [render(table(arms)), render(effects(arms)), best(arms)])


def print_search(sweep: Path, lines: Sequence[str]) -> None:
    """The same of a search: the best arms alone, and what the search says of itself.

    Args:
        lines: the best of it, what pruning saved, and so on.
    """
    arms = ranked(read_arms(sweep))
    if arms:
        parts = [render(table(arms)), render(effects(arms)), *lines]
        tell(sweep, parts, [shortened(arms), *parts[1:]])


def shortened(arms: Sequence[Arm]) -> str:
    """The first rows of the table, and how many there are beside them."""
    rows = table(arms)
    left = len(rows) - 1 - SHOWN
    return render(rows[: SHOWN + 1]) + (f"\n... and {left} more, in sweep.txt" if left > 0 else "")


def tell(sweep: Path, parts: Sequence[str], shown: Sequence[str] | None = None) -> None:
    """Print and keep what a sweep says of itself.

    Args:
        parts: paragraphs.
        shown: those for the terminal, where they differ.
    """
    text, seen = ("\n\n".join(filter(None, each)) for each in (parts, parts if shown is None else shown))
    (sweep / "sweep.txt").write_text(text + "\n", "utf-8")
    print(f"\n{seen}\nnext: llmcycle compare {os.path.relpath(sweep)}")
