"""What a tracker's failure costs: a line on the terminal, and nothing else."""

from __future__ import annotations

import sys
from functools import cache


def warn_once(what: str, error: BaseException, but: str = "the run goes on without it") -> None:
    """Say what a tracker does not do from here on, and what comes of it; once for each kind of tracker."""
    if (what, but) not in _warned():
        _warned().add((what, but))
        said = " ".join(str(error).split())
        reason = said if said and said != "<no message>" else type(error).__name__  # W&B's word for nothing
        print(f"warning: {what} failed, {but}: {reason[:300]}", file=sys.stderr)


@cache
def _warned() -> set[tuple[str, str]]:
    return set()
