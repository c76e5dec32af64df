"""Open a stage's loggers: one for each of its options, told what only the run knows."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate

from llmcycle.masking import cleaned, masked
from llmcycle.tracking.warning import warn_once

if TYPE_CHECKING:
    from llmcycle.tracking.together import Together


SHOWN = ("tags", "notes", "description")  # arguments that a tracker only shows


@dataclass(frozen=True)
class Run:
    """What a stage's loggers are told of the run that it belongs to.

    Args:
        folder: where they may write.
        group: the run's or the sweep's name.
        job_type: the stage.
        name: what sets this run apart in its group.
        config: the stage's, in plain values.
        id: by which a tracker knows the run again when it goes on; "" for a new one.
        earlier: where the parts of it are that were logged before it was interrupted.
        is_last: whether it is the last stage, by which the whole command is judged.
        notes: a text about it.
    """

    folder: str
    group: str
    job_type: str
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    id: str = ""
    earlier: list[str] = field(default_factory=list)
    is_last: bool = False
    notes: str | None = None

    def arguments(self) -> dict[str, Any]:
        """The same by the names that loggers give to it, credentials masked."""
        # Absolute: W&B writes from a process of its own, which keeps the working directory that it was started in.
        place = {"save_dir": str(Path(self.folder).resolve()), "earlier": self.earlier}
        names = {"group": self.group, "job_type": self.job_type, "name": self.name, "run_name": self.name}
        said = {"config": masked(self.config), "notes": self.notes}
        return {**place, **names, **said, "id": self.id, "is_last": self.is_last}

    def linking_to(self, maker: Mapping[str, Any]) -> Run:
        """The run of a stage that was up to date: a link to the one that has made the artifact, where that is known."""
        where = maker.get("url") or f"run {maker.get('id')} of group {maker.get('group')}"
        notes = f"up to date: made by {where}" if maker else "up to date: made by a run that no tracker was told of"
        return replace(self, notes=notes, config={**self.config, "up_to_date": True, "made_by": dict(maker)})


def options(node: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """The loggers of a stage by name; one that stands there alone goes by that of its class."""
    if not node:
        return {}
    if "_target_" in node:
        return {str(node["_target_"]).rpartition(".")[2]: dict(node)}
    return {name: dict(option) for name, option in node.items() if option}


def open_loggers(node: Mapping[str, Any] | None, run: Run, *, by_id: bool = False) -> Together | None:
    """The loggers that options name; what an option leaves open is filled with the run's own values.

    Args:
        node: the options by name, `_target_` and arguments each; or one alone.
        run: what they are told.
        by_id: only those that know a run by its id, and so can go on with it or point at it.

    Returns:
        None where no logger is left; one that can't be opened is left out after a warning.
    """
    loggers = {}
    for name, option in options(node).items():
        try:
            logger = open_one(option, run, by_id)
        except Exception as error:  # a tracker must not cost the run, whatever its reason
            warn_once(f"logging to {name}", error)
            continue
        if logger is not None:
            loggers[name] = logger
    if not loggers:
        return None
    from llmcycle.tracking.together import Together

    return Together(loggers, run.folder)


def open_one(option: Mapping[str, Any], run: Run, by_id: bool) -> Any:
    """One logger; None for one that knows no run by its id where that is asked for."""
    node = {key: cleaned(value) if key in SHOWN else value for key, value in option.items()}
    build = instantiate(node, _partial_=True, _convert_="all")
    if by_id and not getattr(build.func, "by_id", False):
        return None
    Path(run.folder).mkdir(parents=True, exist_ok=True)
    every, given = run.arguments(), build.keywords
    taken = inspect.signature(build.func).parameters.keys() - {key for key in given if given[key] is not None}
    logger = build(**{name: value for name, value in every.items() if name in taken})
    if "config" not in taken:  # Lightning's word for it
        logger.log_hyperparams(every["config"])
    return logger
