"""What a tracker's failure costs: a line on the terminal, and nothing else."""

from __future__ import annotations

import sys
from functools import cache


def warn_once(what: str, error: BaseException, remedy: str = "") -> None:
    """Say what a tracker does not do from here on; once for each kind of tracker, or for each remedy."""
    if (what, remedy) not in _warned():
        _warned().add((what, remedy))
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"warning: {what} failed, the run goes on without it: {reason[:300]}", file=sys.stderr)
        if remedy:
            print(f"  try: {remedy}", file=sys.stderr)


@cache
def _warned() -> set[tuple[str, str]]:
    return set()
