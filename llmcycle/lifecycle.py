"""Run the stages of a recipe in order: plan, skip what is up to date, hand artifacts on, report."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from llmcycle.artifact import Artifact, CorruptArtifact, environment, git_state, identify, tree
from llmcycle.config import identity, plain_tree, recipe, render, stages
from llmcycle.config.stages import Stage
from llmcycle.config.sweeps import as_choice
from llmcycle.config.typed import as_typed
from llmcycle.estimate import foretell
from llmcycle.evaluate.metric import headline
from llmcycle.log import FILE, clean, logged
from llmcycle.masking import notice, shown
from llmcycle.report import RunFacts, StageRecord, arm_line, print_plan, print_stage, print_table, write_report
from llmcycle.report.numbers import duration, number
from llmcycle.reporting import Pruned, Reporter, reporting
from llmcycle.stage_run import Context, Planned, plan, run_stage
from llmcycle.surroundings import ARMS, FORCE, default_outputs
from llmcycle.tracking import to_type

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What the stages of a run made."""

    records: tuple[StageRecord, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether no stage failed."""
        return all(record.error is None for record in self.records)

    @property
    def headline(self) -> float | None:
        """The marked metric of the last stage that has one; None of a failed run, so that it is never the best."""
        values = [r.metrics[name].value for r in self.records if (name := headline(r.metrics)) is not None]
        return values[-1] if values and self.succeeded else None


def execute(root: DictConfig, arguments: list[str]) -> Outcome:
    """Run a composed recipe inside `hydra.main`. `arguments` is what was typed."""
    context = here(root, arguments)
    with logged(context.folder):
        outcome = in_order(root, context)
    if context.sweep:
        clean(context.sweep)
    return outcome


def in_order(root: DictConfig, context: Context) -> Outcome:
    """Run the stages one after the other, up to the first that fails."""
    planned = prepare(root, context)
    if not context.sweep:
        rows = [(p.stage.label, p.method, p.existing is not None, p.identity[:12]) for p in planned]
        print_plan(rows, str(context.folder), estimate=estimate(root, planned))
    records: list[StageRecord] = []
    last = next((step for step in reversed(planned) if step.stage.node.get("trainer")), None)
    for step in planned:
        with reporting(reporter_of(root, context.sweep) if step is last else None):
            records.append(attempt(step, context))
        if not context.sweep:
            print_stage(records[-1])
        if records[-1].error is not None:
            break
        link(context.folder / records[-1].name, Path(records[-1].folder))
    drop_dangling(context.folder)
    write_report(context.folder, records, facts(root, records, context))
    if context.sweep:
        print(arm(records, context, context.sweep), flush=True)
        if len(list(context.sweep.glob("*/report.json"))) == int(os.environ.get(ARMS, "0")):
            say_how_to_sync(context.sweep)
    else:
        known = [artifact.folder.name.rpartition("-")[2] for artifact in identity.store(root).artifacts()]
        print_table(records, known=known, again=context.command, store=context.store)
        print(f"report: {context.folder / 'report.md'}")
        say_how_to_sync(context.folder)
    return Outcome(tuple(records))


def say_how_to_sync(folder: Path) -> None:
    """What uploads the runs that a tracker keeps here, of a run or of a whole sweep."""
    if line := to_type(folder):
        print(f"W&B runs are kept here, to upload them: {line}", flush=True)


def arm(records: list[StageRecord], context: Context, sweep: Path) -> str:
    """The line of an arm of a sweep, whose first file is as old as it is."""
    began = (sweep / "multirun.yaml").stat().st_mtime
    elapsed, place = time.time() - began, int(HydraConfig.get().job.num) + 1
    reports = list(sweep.glob("*/report.json"))
    earlier = sum(report.stat().st_mtime < began for report in reports)
    count = int(os.environ.get(ARMS, "0"))
    return arm_line(records, context.label, place, count, elapsed, len(reports) - earlier, earlier)


def reporter_of(root: DictConfig, sweep: Path | None) -> Reporter | None:
    """What is told of a run that a search may end early; None for any other run."""
    if sweep is None or not (root.get("search") or {}).get("pruner"):
        return None
    from llmcycle.search.pruning import reporter  # not before a search is there: it imports Optuna

    return reporter(plain_tree.plain(root.search), sweep, int(HydraConfig.get().job.num))


def prepare(root: DictConfig, context: Context) -> list[Planned]:
    """The plan, and a link to each artifact that it finds, will make or starts from, so that no `gc` beside this run
    takes one away, not even between the moment when a stage has left it and the next stage's turn."""
    store = identity.store(root)
    with store.referring():
        planned = [plan(stage, context) for stage in stages.of(root)]
        made = {store.folder(step.stage.title, step.identity): step.stage.label for step in planned}
        for folder, name in made.items():
            link(context.folder / name, folder)
        for folder in {source.folder for step in planned for source in sources(step.stage)} - made.keys():
            link(context.folder / "inputs" / folder.name, folder)
    return planned


def sources(stage: Stage) -> list[Artifact]:
    """The artifacts among a stage's inputs that are there already."""
    artifacts = [identity.store(stage.root).find(identity.location(stage, key)) for key in stage.inputs]
    return [artifact for artifact in artifacts if artifact is not None]


def estimate(root: DictConfig, planned: list[Planned]) -> str:
    """Time and memory of the stages to run, going by ones that were the same but for what changes neither; "" if none.

    What is not known is left out: a wrong figure is worse than none.
    """
    todo = [step for step in planned if step.existing is None]
    earlier = manifests(root) if todo else []
    costs = [cost for step in todo if (cost := foretell(earlier, recipe.written(step.stage)))]
    if not costs:
        return ""
    seconds, peak = duration(sum(cost.seconds for cost in costs)), number(max(cost.peak for cost in costs), "bytes")
    which = "" if len(costs) == len(todo) else f" for {len(costs)} of {len(todo)} stages"
    return f"about {seconds} and {peak} of memory{which}, going by earlier runs"


def manifests(root: DictConfig) -> list[dict[str, Any]]:
    """Of all artifacts in the store that can be read; a broken one is told of where it is needed."""
    contents = []
    for artifact in identity.store(root).artifacts():
        with suppress(CorruptArtifact):
            contents.append(artifact.manifest)
    return contents


def here(root: DictConfig, arguments: list[str]) -> Context:
    """The run's folder, group and label, as Hydra has set them."""
    hydra = HydraConfig.get()
    typed = typed_overrides()
    notice([plain_tree.plain(root, resolve=False), typed, arguments])
    folder = Path(hydra.runtime.output_dir)
    sweep = Path(hydra.sweep.dir) if hydra.mode is not None and hydra.mode.name == "MULTIRUN" else None
    return Context(
        folder=Path(os.path.relpath(folder)),
        group=f"{hydra.job.config_name}/{(sweep or folder).name}",
        label=shown(label(sweep, typed)) if sweep else "",
        command=shlex.join(["llmcycle", *map(shown, arguments)]),
        choices={str(key): str(value) for key, value in hydra.runtime.choices.items()},
        store=store_words(str(root.outputs), arguments),
        force=os.environ.get(FORCE) == "1",
        sweep=Path(os.path.relpath(sweep)) if sweep else None,
        overrides=tuple(map(shown, typed)),
        last="" if sweep else stages.of(root)[-1].label,
    )


def store_words(outputs: str, arguments: list[str]) -> str:
    """What a verb must be told beside an id to find it in this run's store; "" where it looks there anyway."""
    typed = any(word.lstrip("-").startswith("outputs=") or word == "--outputs" for word in arguments)
    default = None if typed else default_outputs()
    return "" if outputs == default else f" {shlex.quote(f'outputs={outputs}')}"


def typed_overrides() -> list[str]:
    """The overrides as they were typed: to read one out of Hydra's node resolves what it refers to."""
    overrides: list[str] = plain_tree.plain(cast(DictConfig, HydraConfig.get().overrides), resolve=False)["task"]
    return overrides


def label(sweep: Path, overrides: list[str]) -> str:
    """The overrides of this arm that the sweep varies."""
    path = sweep / "multirun.yaml"
    typed = set(plain_tree.plain(OmegaConf.load(path).hydra.overrides.task, resolve=False)) if path.exists() else set()
    return " ".join(override for override in overrides if not {override, as_choice(override)} & typed)


def attempt(planned: Planned, context: Context) -> StageRecord:
    """Run one stage; a failure becomes a record with its reason, and its traceback goes to the run's log."""
    name, started = planned.stage.label, time.perf_counter()
    try:
        return run_stage(planned, context, lambda: print(f"{name}: another process is making it, waiting"))
    except Pruned as error:
        shutil.rmtree(identity.store(planned.stage.root).unfinished(planned.identity), ignore_errors=True)
        seconds = time.perf_counter() - started
        return StageRecord(name, planned.method, seconds=seconds, error=str(error), pruned=True)
    except Exception as error:
        log.exception("%s failed", name)
        reason = str(error) or type(error).__name__
        reason = reason if isinstance(error, ValueError) else f"{type(error).__name__}: {reason}"
        reason = shown(reason)
        print(render(ValueError(f"{name}: {reason}")), file=sys.stderr)
        if not isinstance(error, ValueError):
            print(f"  the traceback is in {context.folder / FILE}", file=sys.stderr)
        return StageRecord(name, planned.method, error=reason, refused=isinstance(error, ValueError))


def link(place: Path, artifact: Path) -> None:
    """A link to an artifact, which may be yet to come, in the place of one that leads nowhere."""
    if place.is_symlink() and not place.exists():
        place.unlink()
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(os.path.relpath(artifact, place.parent), target_is_directory=True)


def drop_dangling(folder: Path) -> None:
    """Remove the links to artifacts that a failed run did not make."""
    for place in folder.iterdir():
        if place.is_symlink() and not place.exists():
            place.unlink()


def facts(root: DictConfig, records: list[StageRecord], context: Context) -> RunFacts:
    """What the report says of the whole run."""
    last = next((record.folder for record in reversed(records) if record.folder), "")
    hydra = HydraConfig.get()
    return RunFacts(
        recipe=str(hydra.job.config_name),
        command=context.command,
        config_sha256=identify(plain_tree.plain(root, resolve=False), seed=int(root.seed), versions={}),
        seed=int(root.seed),
        versions=environment(),
        git=git_state(),
        lineage=tree(identity.store(root), Artifact(Path(last))) if last else "",
        overrides=tuple(shown(as_typed(override)) for override in typed_overrides()),
    )
