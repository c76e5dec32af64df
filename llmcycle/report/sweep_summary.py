"""What the terminal says at the end of a sweep, and sweep.txt keeps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from llmcycle.report.effects import effects
from llmcycle.report.sweep import Arm, best, by_rank, read_arms, render, table
from llmcycle.report.sweep_page import NAME, write_page

SHOWN = 10  # arms of a search
FILE = "sweep.txt"


def print_sweep(sweep: Path) -> None:
    """Print the table of a sweep, the effects of its factors and the best arm."""
    arms = read_arms(sweep)
    if arms:
        tell(sweep, arms, best(arms), render(table(arms)))


def print_search(sweep: Path, verdict: str) -> None:
    """The same of a search: the best arms alone, and what the search says of itself.

    Args:
        verdict: how its trials ended, what pruning saved, and the best of them.
    """
    arms = by_rank(read_arms(sweep))
    if arms:
        tell(sweep, arms, verdict, top_rows(arms))


def top_rows(arms: Sequence[Arm]) -> str:
    """The first rows of the table, and how many there are beside them."""
    rows = table(arms)
    left = len(rows) - 1 - SHOWN
    return render(rows[: SHOWN + 1]) + (f"\n... and {left} more, in {FILE}" if left > 0 else "")


def tell(sweep: Path, arms: Sequence[Arm], verdict: str, shown: str) -> None:
    """Keep what a sweep says of itself as a text and as a page, and print it.

    Args:
        verdict: the lines at the end.
        shown: as much of the table as the terminal is to show.
    """
    rows, factors = table(arms), effects(arms)
    whole, seen = (
        "\n\n".join(filter(None, [arms_shown, render(factors), verdict])) for arms_shown in (render(rows), shown)
    )
    (sweep / FILE).write_text(whole + "\n", "utf-8")
    write_page(sweep, arms, [("Arms", rows), ("Factors", factors)], verdict)
    place = os.path.relpath(sweep)
    print(f"\n{seen}\npage: {place}/{NAME}\nnext: llmcycle compare {place}")
