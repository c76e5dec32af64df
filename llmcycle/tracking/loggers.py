"""Open a stage's logger before it runs and close it afterwards, whatever happened in between."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate

from llmcycle.evaluate.metric import Metric
from llmcycle.masking import cleaned, masked

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


SHOWN = ("tags", "notes", "description")  # arguments that a tracker only shows


def open_logger(
    node: Mapping[str, Any] | None,
    *,
    folder: Path,
    group: str,
    job_type: str,
    run_name: str,
    config: Mapping[str, Any],
) -> Logger | None:
    """The logger that an option names; what the option leaves open is filled with the run's own values.

    Args:
        node: the option, `_target_` and arguments; None for no logger.
        folder: where it may write (`save_dir`); made here.
        group: the run's or the sweep's name.
        job_type: the stage.
        run_name: what sets this run apart in its group (`name`).
        config: the stage's; credentials are masked, interpolations stay as they are written.

    Returns:
        None without an option, and when the logger can't be opened, after a warning.
    """
    if not node:
        return None
    # Absolute: W&B writes from a process of its own, which keeps the working directory that it was started in.
    node = {key: cleaned(value) if key in SHOWN else value for key, value in node.items()}
    values = {"save_dir": str(folder.resolve()), "group": group, "job_type": job_type, "name": run_name}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        build = instantiate(node, _partial_=True, _convert_="all")
        taken = inspect.signature(build.func).parameters.keys() - build.keywords.keys()
        arguments = {name: value for name, value in {**values, "config": masked(config)}.items() if name in taken}
        logger: Logger = build(**arguments)
    except Exception as error:  # a tracker must not cost the run, whatever its reason
        warn_once(f"logging to {node.get('_target_')}", error)
        return None
    return logger


def close_logger(logger: Logger | None, metrics: Mapping[str, Metric], artifact_facts: Mapping[str, Any]) -> None:
    """Log the stage's metrics and the artifact's id and inputs, then finish; without facts the stage has failed."""
    if logger is None:
        return
    status = "success" if artifact_facts else "failed"
    try:
        if hasattr(logger, "finish"):
            logger.finish(scalars(metrics), artifact_facts)
            return
        if metrics:
            logger.log_metrics(scalars(metrics))
        logger.save()
        logger.finalize(status)
    except Exception as error:  # as above
        warn_once(f"logging to {type(logger).__name__}", error)


def scalars(metrics: Mapping[str, Metric]) -> dict[str, float]:
    """`final/NAME`, where known with `/before`, and with the 95 % interval as `/low` and `/high`; what is not finite is
    left out. With a value before, the interval is that of the difference, and called `/change_low` and `/change_high`.
    """
    scalar_values: dict[str, float | None] = {}
    for name, metric in metrics.items():
        low, high = metric.interval or (None, None)
        scalar_values |= {f"final/{name}": metric.value, f"final/{name}/before": metric.before}
        of = "" if metric.before is None else "change_"
        scalar_values |= {f"final/{name}/{of}low": low, f"final/{name}/{of}high": high}
    return {name: value for name, value in scalar_values.items() if value is not None and math.isfinite(value)}


def warn_once(what: str, error: BaseException) -> None:
    """Say on the terminal that a tracker is off from here on; once for each kind of tracker."""
    if what not in _warned():
        _warned().add(what)
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"warning: {what} failed, the run goes on without it: {reason[:300]}", file=sys.stderr)


@cache
def _warned() -> set[str]:
    return set()
