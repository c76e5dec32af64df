"""Weights & Biases for a stage: one run of its own, offline without an account, and never in the way."""

from __future__ import annotations

import netrc
import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar
from urllib.parse import urlsplit

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when wandb is imported

import wandb
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from llmcycle.masking import masked
from llmcycle.tracking.loggers import warn_once

Mode = Literal["online", "offline", "disabled"]
NAME_LENGTH = 128  # W&B refuses longer names of runs and groups
P = ParamSpec("P")
R = TypeVar("R")


def harmless(method: Callable[P, R]) -> Callable[P, R | None]:
    """After an error in the method: one warning, and the logger does nothing any more."""

    @wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
        logger: Any = args[0]
        if logger.broken:
            return None
        try:
            return method(*args, **kwargs)
        except Exception as error:  # a tracker must not cost the run, whatever its reason
            logger.broken = True
            warn_once("logging to W&B", error)
            return None

    return guarded


class Wandb(WandbLogger):
    """One W&B run for one stage, begun here and ended by `finish`, also when another run is open in this process.

    Args:
        project: W&B's word for everything that is compared on one page.
        mode: by default WANDB_MODE, else online where a key is known (WANDB_API_KEY or netrc), else offline.
        entity: the team or user; by default the account's.
        tags: shown beside the run.
        save_dir, group, job_type, name, config: given by the run; `name` holds only what a sweep varies.
    """

    def __init__(
        self,
        project: str = "llmcycle",
        mode: Mode | None = None,
        entity: str | None = None,
        tags: list[str] | None = None,
        *,
        save_dir: str = ".",
        group: str | None = None,
        job_type: str | None = None,
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        names = {"name": name and name[:NAME_LENGTH], "group": group and group[-NAME_LENGTH:], "job_type": job_type}
        place = {"project": project, "entity": entity, "tags": tags, "dir": save_dir}
        self.broken = False
        run = begin(mode or default_mode(), **names, **place, config=dict(config or {}))
        super().__init__(name=name, save_dir=save_dir, project=project, experiment=run)

    @rank_zero_only
    @harmless
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_args: object, **_kwargs: object) -> None:
        """Add a module's hyperparameters to the run's config, without credentials."""
        super().log_hyperparams(masked(vars(params) if isinstance(params, Namespace) else params))

    @rank_zero_only
    @harmless
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """One row of the history."""
        super().log_metrics(metrics, step)

    @rank_zero_only
    def finish(self, final: Mapping[str, float], artifact: Mapping[str, Any]) -> None:
        """Write the final metrics and the artifact, and end the run; it is marked as failed without an artifact."""
        try:
            self._conclude(final, artifact)
        finally:
            self._end(0 if artifact else 1)

    @harmless
    def _conclude(self, final: Mapping[str, float], artifact: Mapping[str, Any]) -> None:
        self.experiment.summary.update(dict(final))
        if artifact:
            # `use_artifact` needs a server, so the inputs are recorded here, by id.
            record = wandb.Artifact(str(artifact["name"]), type="llmcycle", metadata=masked(dict(artifact)))
            self.experiment.log_artifact(record, aliases=[str(artifact["id"])])

    def _end(self, exit_code: int) -> None:
        """End the run although it is broken: another one follows in this process."""
        try:
            self.experiment.finish(exit_code=exit_code)
        except Exception as error:  # as in `harmless`
            warn_once("logging to W&B", error)


def begin(mode: Mode, **arguments: Any) -> Any:
    """A W&B run that neither prints nor asks; None on the ranks that don't log.

    The command line (`x_disable_meta`) and the console stay out of it: they may hold credentials.
    """
    if getattr(rank_zero_only, "rank", 0) != 0:
        return None
    quiet = wandb.Settings(silent=True, console="off", disable_code=True, x_disable_meta=True)
    run = wandb.init(mode=mode, settings=quiet, reinit="create_new", **arguments)
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return run


def default_mode() -> Mode:
    """WANDB_MODE if it is set; online where a key is known, so that nobody is ever asked for one; else offline."""
    chosen = os.environ.get("WANDB_MODE", "")
    if chosen in ("online", "offline", "disabled"):
        return chosen  # type: ignore[return-value]
    return "online" if os.environ.get("WANDB_API_KEY") or _in_netrc() else "offline"


def _in_netrc() -> bool:
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    named = os.environ.get("NETRC")
    for path in [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]:
        try:
            if netrc.netrc(path).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
