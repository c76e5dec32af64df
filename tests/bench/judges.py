"""Intervals of the arena and of the judge's audit against what was planted, in 1,000 repeats each.

python tests/bench/judges.py [--repeats N] [--only arena|audit]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import judges
import matches

ARENA: tuple[dict[str, float], ...] = ({}, {"ties": 0.2}, {"spread": 0.8}, {"liking": 1.0})
NUMBERS = ("strength", "win rate", "at equal length")
AUDITS = (
    *((0.0, 0.0, 0.2), (0.3, 0.0, 0.0), (0.0, 0.3, 0.0), (0.3, 0.0, 0.2), (0.0, 0.3, 0.2), (-0.2, 0.2, 0.2)),
    *((0.08, 0.0, 0.2), (0.0, 0.08, 0.2)),  # biases that are too small to be told
)


def arena(repeats: int, prompts: int) -> None:
    """A line a number and a setting: the coverage of each model's interval, and the mean error."""
    for blur in ARENA:
        start = time.perf_counter()
        held, error = matches.coverage(prompts, repeats, **blur)
        for place, name in enumerate(NUMBERS):
            shares = " ".join(f"{share:.3f}" for share in held[:, place])
            errors = " ".join(f"{value:+.4f}" for value in error[:, place])
            print(
                f"arena {prompts} prompts {blur or 'plain'}: {name}: coverage {shares}; mean error {errors}", flush=True
            )
        print(f"  {time.perf_counter() - start:.0f} s", flush=True)


def audits(repeats: int, pairs: int) -> None:
    """A line a planted judge."""
    for place, length, noise in AUDITS:
        held = judges.coverage(place, length, noise, pairs, repeats)
        shares = ", ".join(f"{name} {share:.3f}" for name, share in held.items())
        print(f"audit {pairs} pairs, place {place}, length {length}, noise {noise}: {shares}", flush=True)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--only", choices=["arena", "audit"])
    options = parser.parse_args()
    if options.only != "arena":
        audits(options.repeats, 400)
    if options.only != "audit":
        arena(options.repeats, 100)


if __name__ == "__main__":
    main()
