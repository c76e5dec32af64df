"""A search from the command line: the folder that it always has, its trials, and what came of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from llmcycle.config import ConfigError, Plan
from llmcycle.config.typed import in_quotes
from llmcycle.launchers import share_of_cores
from llmcycle.report import print_search, read_arms
from llmcycle.report.sweep import is_seed
from llmcycle.search.summary import summary
from llmcycle.surroundings import ARMS, set_for

LOCK = ".search.lock"


def run_search(plan: Plan, hand_over: Callable[[list[str]], object]) -> int:
    """Run or go on with a search; 1 where an arm failed.

    Args:
        plan: what was judged.
        hand_over: lets Hydra take the sweep, with these overrides beside those that were typed.
    """
    folder = Path(plan.root.hydra.sweep.dir).parent / f"search-{plan.identity}"
    trials, begun = int(plan.root.search.trials), len(list(folder.glob("*/report.json")))
    so_far = f", {begun} {'arm has' if begun == 1 else 'arms have'} ended before" if begun else ""
    print(f"search: up to {trials} {'trial' if trials == 1 else 'trials'}{so_far}, logged in {os.path.relpath(folder)}")
    own = ["hydra/sweeper=search", f"hydra.sweep.dir={in_quotes(str(folder))}"]
    seeds = {word for arm in plan.arms for word in arm if is_seed(word)}
    folder.mkdir(parents=True, exist_ok=True)
    launcher, together = plan.root.hydra.launcher, plan.root.search.get("parallel") or 1
    count = trials * max(1, len(seeds))
    share = share_of_cores(launcher, count if launcher.get("n_jobs") else together)
    with alone(folder), set_for({ARMS: str(count), **share}):
        hand_over(own)
    print_search(folder, summary(folder, plan.root.search))
    return 1 if any(arm.failed for arm in read_arms(folder)) else 0


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a search.

    Raises:
        ConfigError: another process is at work on the same one.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        reason = "another process runs this search, and would try the same settings"
        raise ConfigError(str(folder), reason, "search.sampler.seed=1, for a search of its own") from None
    try:
        yield
    finally:
        lock.release()
