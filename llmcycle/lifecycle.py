"""Run the stages of a recipe in order: plan, skip what is up to date, hand artifacts on, report."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from llmcycle.artifact import Artifact, environment, git_state, identify, tree
from llmcycle.config import identity, render, stages
from llmcycle.report import RunFacts, StageRecord, print_plan, print_table, write_report
from llmcycle.run import Context, Planned, plan, run_stage

log = logging.getLogger(__name__)
FORCE = "LLMCYCLE_FORCE"  # set by --force; an environment variable reaches the processes of a launcher too


@dataclass(frozen=True)
class Outcome:
    """Whether every stage succeeded, and the folder of the sweep that the run was an arm of."""

    succeeded: bool
    sweep: Path | None


def execute(root: DictConfig, arguments: list[str]) -> Outcome:
    """Run a composed recipe inside `hydra.main`. `arguments` is what was typed."""
    context = here(arguments)
    planned = [plan(root, name, context) for name in stages.names(root)]
    print_plan(
        [(p.key or p.name, p.method, p.existing is not None, p.identity[:12]) for p in planned], str(context.folder)
    )
    records: list[StageRecord] = []
    for one in planned:
        records.append(attempt(root, one, context))
        link(context.folder, records[-1])
        if records[-1].error is not None:
            break
    write_report(context.folder, records, facts(root, records, context))
    print_table(records, known=[artifact.id for artifact in identity.store(root).artifacts()], again=context.command)
    print(f"report: {context.folder / 'report.md'}")
    return Outcome(all(record.error is None for record in records), context.sweep)


def estimate(root: DictConfig, planned: list[Planned]) -> str:
    """Time and memory that the stages to run took before, where the store knows earlier runs of them all."""
    earlier = {artifact.name: artifact.manifest for artifact in identity.store(root).artifacts()}
    todo = [earlier.get(one.name) for one in planned if one.existing is None]
    known = [manifest for manifest in todo if manifest is not None]
    if not todo or len(known) < len(todo):
        return ""
    peak = max(manifest["metrics"]["peak_memory"]["value"] for manifest in known)
    return (
        f"about {sum(manifest['seconds'] for manifest in known):.0f} s and {peak / 2**30:.1f} GB going by earlier runs"
    )


def here(arguments: list[str]) -> Context:
    """The run's folder, group and label, as Hydra has set them."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    sweep = Path(hydra.sweep.dir) if hydra.mode is not None and hydra.mode.name == "MULTIRUN" else None
    return Context(
        folder=Path(os.path.relpath(folder)),
        group=f"{hydra.job.config_name}/{(sweep or folder).name}",
        label=label(sweep, list(hydra.overrides.task)) if sweep else "",
        command=shlex.join(["llmcycle", *arguments]),
        choices={str(key): str(value) for key, value in hydra.runtime.choices.items()},
        force=os.environ.get(FORCE) == "1",
        sweep=Path(os.path.relpath(sweep)) if sweep else None,
    )


def label(sweep: Path, overrides: list[str]) -> str:
    """The overrides of this arm that the sweep varies."""
    path = sweep / "multirun.yaml"
    typed = set(OmegaConf.load(path).hydra.overrides.task) if path.exists() else set()
    return " ".join(one for one in overrides if one not in typed)


def attempt(root: DictConfig, planned: Planned, context: Context) -> StageRecord:
    """Run one stage; a failure becomes a record with its reason, and its traceback goes to the run's log."""
    try:
        return run_stage(
            root, planned, context, lambda: print(f"{planned.name}: another process is making it, waiting")
        )
    except Exception as error:
        log.exception("%s failed", planned.key or planned.name)
        reason = str(error) or type(error).__name__
        reason = reason if isinstance(error, ValueError) else f"{type(error).__name__}: {reason}"
        print(render(ValueError(f"{planned.key or planned.name}: {reason}")), file=sys.stderr)
        if not isinstance(error, ValueError):
            print(f"  the traceback is in {context.folder}", file=sys.stderr)
        return StageRecord(planned.key or planned.name, planned.method, error=reason)


def link(folder: Path, record: StageRecord) -> None:
    """A link from the run's folder to the artifact."""
    place = folder / record.name
    if record.folder and not place.exists():
        place.symlink_to(os.path.relpath(record.folder, folder), target_is_directory=True)


def facts(root: DictConfig, records: list[StageRecord], context: Context) -> RunFacts:
    """What the report says of the whole run."""
    last = next((record.folder for record in reversed(records) if record.folder), "")
    hydra = HydraConfig.get()
    return RunFacts(
        recipe=str(hydra.job.config_name),
        command=context.command,
        config_sha256=identify(stages.plain(root, resolve=False), seed=int(root.seed), versions={}),
        seed=int(root.seed),
        versions=environment(),
        git=git_state(),
        lineage=tree(identity.store(root), Artifact(Path(last))) if last else "",
        overrides=tuple(hydra.overrides.task),
    )
