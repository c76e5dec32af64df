"""How many arms a launcher runs at once on this machine, and the share of its cores that each of them gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

THREADS = "OMP_NUM_THREADS"
LOCAL = "submitit_launcher.LocalLauncher"  # starts all arms of a batch at once


def at_once(launcher: Mapping[str, Any], arms: int) -> int:
    """Arms of a batch that run beside each other on this machine; 1 for a launcher that says nothing of it."""
    jobs = launcher.get("n_jobs")
    if isinstance(jobs, int):
        return min(arms, jobs if jobs > 0 else cores())
    return arms if str(launcher.get("_target_")).endswith(LOCAL) else 1


def share_of_cores(launcher: Mapping[str, Any], arms: int) -> dict[str, str]:
    """The variable that gives each arm its share; {} where arms come one after the other, or the user has set it.

    Two processes of two threads each on two cores wait for each other at every operation.
    """
    together = at_once(launcher, arms)
    return {THREADS: str(max(1, cores() // together))} if together > 1 and THREADS not in os.environ else {}


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
