"""Weights & Biases for a stage: one run of its own, offline without an account, and never in the way."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from llmcycle.masking import shown
from llmcycle.tracking import wandb_artifacts
from llmcycle.tracking.result import Result, Table
from llmcycle.tracking.wandb_run import Mode, agent, begin, default_mode, out_of_reach
from llmcycle.tracking.warning import warn_once

NAME_LENGTH = 128  # W&B refuses longer names of runs and groups
PROJECT = "llmcycle"  # where neither an option nor the environment names one


class Wandb(WandbLogger):
    """One W&B run for one stage, begun here and ended by `conclude`, also when another run is open in this process.

    Args:
        project: W&B's word for everything that is compared on one page; by default WANDB_PROJECT, else llmcycle.
        mode: by default WANDB_MODE, else online where a key is known (WANDB_API_KEY or netrc), else offline.
        entity: the team or user; by default the account's.
        tags: shown beside the run.
        notes: a text about it; of a stage that was up to date the run says who has made it.
        save_dir, group, job_type, name, config: given by the run; `name` holds only what a sweep varies.
        id: by which a run that was interrupted goes on; "" for a new one.
        earlier: folders of its earlier parts, which are linked beside this one, to be uploaded with it.
        is_last: whether it is the stage whose metrics a W&B agent waits for.
    """

    LOGGER_JOIN_CHAR = "/"  # between a stage's name and that of a curve
    by_id = True  # a run can be gone on with and be pointed at

    def __init__(
        self,
        project: str | None = None,
        mode: Mode | None = None,
        entity: str | None = None,
        tags: list[str] | None = None,
        notes: str | None = None,
        *,
        save_dir: str = ".",
        group: str | None = None,
        job_type: str | None = None,
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
        id: str = "",
        earlier: Sequence[str] = (),
        is_last: bool = False,
    ) -> None:
        known = agent()
        whose = {"sweep_id": known["sweep"]} if is_last and known["sweep"] else {}
        id = (known["run"] if is_last else "") or id
        group = os.environ.get("WANDB_RUN_GROUP") or (by_sweep(group, known["sweep"]) if known["sweep"] else group)
        name = known["swept"] or name
        project = project or os.environ.get("WANDB_PROJECT") or PROJECT
        names = {"name": name and name[:NAME_LENGTH], "group": group and group[-NAME_LENGTH:], "job_type": job_type}
        place = {"project": project, "entity": entity, "tags": tags, "notes": notes, "dir": save_dir}
        again = {"id": id or None, "resume": "allow" if id and (earlier or whose) else None}
        everything = {**names, **place, **again, "config": dict(config or {})}
        run = begin(mode or default_mode(), settings=whose, **everything)
        super().__init__(name=name, save_dir=save_dir, project=project, experiment=run, prefix=job_type or "")
        for folder in map(Path, earlier):
            beside = Path(save_dir) / "wandb" / folder.name
            if folder.is_dir() and not beside.exists():
                beside.symlink_to(os.path.relpath(folder, beside.parent), target_is_directory=True)

    def place(self) -> dict[str, Any]:
        """Where the run is kept: its id, project and group, its address on a server, and its folder on this disk."""
        run = self.experiment
        url = None if run.offline else run.url
        names = {"id": run.id, "project": run.project, "group": run.group, "url": url, "folder": self.folder}
        return {key: value for key, value in names.items() if value}

    @property
    def folder(self) -> str:
        """What `wandb sync` is told to upload the run."""
        return os.path.relpath(Path(self.experiment.dir).parent)

    @rank_zero_only
    def conclude(self, result: Result | None, *, failed: bool) -> None:
        """Write what the stage made, and end the run."""
        try:
            if result is not None:
                self.write(result)
        finally:
            self.end(1 if failed else 0)

    @rank_zero_only
    def pause(self) -> None:
        """End the run for now: another process goes on with it."""
        self.end(0)

    def write(self, result: Result) -> None:
        """Summary, the edges of lineage, and last the tables, for which W&B asks its server."""
        run = self.experiment
        run.summary.update(result.scalars)
        self.write_lineage(result)
        for name, rows in result.tables.items():
            if rows:
                run.log({f"{self._prefix}/{name}": table(rows)})

    def write_lineage(self, result: Result) -> None:
        """What the run has used and made. One that only links uses what another has made."""
        made = wandb_artifacts.of_store(result.artifact)
        wandb_artifacts.log(self.experiment, made, result.artifact.id, used=bool(result.maker))
        if result.maker:
            return
        for artifact in result.inputs.values():
            wandb_artifacts.log(self.experiment, wandb_artifacts.of_store(artifact), artifact.id, used=True)
        for source in wandb_artifacts.of_sources(result.artifact):
            wandb_artifacts.log(self.experiment, source, used=True)

    def end(self, exit_code: int) -> None:
        """End the run although it is broken: another one follows in this process."""
        try:
            self.experiment.finish(exit_code=exit_code)
        except TimeoutError as error:
            out_of_reach().append(error)
            but = f"nothing is lost, and `wandb sync {shlex.quote(self.folder)}` uploads the rest"
            warn_once("uploading to W&B", error, but)


def by_sweep(group: str | None, sweep: str) -> str:
    """The group of all runs of a W&B agent's sweep: the recipe's name and the sweep's id."""
    recipe = (group or "").rpartition("/")[0]
    return f"{recipe}/{sweep}" if recipe else sweep


def table(rows: Table) -> Any:
    """Rows as W&B's table; what is no number is text."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return wandb.Table(columns=columns, data=[[cell(row.get(key)) for key in columns] for row in rows])


def cell(value: object) -> object:
    """A value of a table: one kind a column, so that W&B need not guess."""
    if value is None or isinstance(value, int | float):
        return value
    return shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
