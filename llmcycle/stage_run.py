"""Run one stage: seed, build, call, record. Knows nothing of what any stage does."""

from __future__ import annotations

import gc
import inspect
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from llmcycle import left
from llmcycle.artifact import Artifact, CorruptArtifact, Draft, digest_path, environment, git_state
from llmcycle.building import build
from llmcycle.config import ConfigError, identity, recipe
from llmcycle.config.allow import allowed
from llmcycle.config.plain_tree import plain
from llmcycle.config.stages import Stage
from llmcycle.evaluate.metric import Metric, Metrics
from llmcycle.log import BESIDE, clean
from llmcycle.masking import cleaned
from llmcycle.peak_memory import peak_memory, reset_peak_memory
from llmcycle.processes import Job, processes, run_apart
from llmcycle.report import StageRecord
from llmcycle.tracking import Result, Run, open_loggers, tracked

RECIPE = "recipe.yaml"


@dataclass(frozen=True)
class Planned:
    """A stage that this run will make or find.

    Args:
        stage: its place in the recipe.
        method: the option that says most about it.
        identity: its full id.
        existing: its artifact, if the store has it.
    """

    stage: Stage
    method: str
    identity: str
    existing: Artifact | None


@dataclass(frozen=True)
class Context:
    """What belongs to the run as a whole.

    Args:
        folder: the run's own folder.
        group: under which name trackers gather it: the run's, or the sweep's.
        label: what sets it apart in its sweep: the swept overrides; "" outside one.
        command: what the user typed.
        choices: the options that Hydra composed, by `group@package`.
        store: what a verb is told to find the run's store; "" where it needs no word.
        force: make stages again that are up to date.
        sweep: the folder of the sweep that it is an arm of.
        overrides: what was typed beside the recipe.
        last: the stage by which the run is judged; "" of an arm of a sweep, which is judged with the others.
    """

    folder: Path
    group: str
    label: str = ""
    command: str = ""
    choices: dict[str, str] = field(default_factory=dict)
    store: str = ""
    force: bool = False
    sweep: Path | None = None
    overrides: tuple[str, ...] = ()
    last: str = ""


def plan(stage: Stage, context: Context) -> Planned:
    """What the stage's artifact will be called, and whether it is there already."""
    full = identity.stage_id(stage)
    store = identity.store(stage.root)
    existing = store.find(store.folder(stage.title, full))
    try:
        if existing is not None:
            refuse_another(existing, full)
    except CorruptArtifact:
        if not context.force:
            raise
    return Planned(stage, stage.method(context.choices), full, None if context.force else existing)


def refuse_another(artifact: Artifact, identity: str) -> None:
    """ValueError for an artifact that lies in the folder of another: it would be taken for it, or be replaced by it."""
    own = artifact.manifest["identity"]
    if own != identity:
        place = artifact.folder.with_name(f"{artifact.name}-{artifact.id}")
        reason = f"the artifact in it has the id {artifact.id}, so it was renamed"
        raise ConfigError(str(artifact.folder), reason, f"mv {artifact.folder} {place}")


def run_stage(planned: Planned, context: Context, on_wait: Callable[[], None]) -> StageRecord:
    """Make the stage's artifact, or find it made.

    Raises:
        Exception: whatever the stage raises; then nothing is left in the store.
    """
    if planned.existing is not None:
        return up_to_date(planned, context, planned.existing)
    store, title = identity.store(planned.stage.root), planned.stage.title
    with store.write(title, planned.identity, on_wait=on_wait, replace=context.force) as draft:
        if draft.existing is not None:
            return up_to_date(planned, context, draft.existing)
        return make(planned, context, draft)


def up_to_date(planned: Planned, context: Context, artifact: Artifact) -> StageRecord:
    """The record of a stage that is up to date."""
    artifact.verify()
    whole = record(planned, artifact, skipped=True)
    link(planned.stage, context, artifact, whole)
    return whole


def record(planned: Planned, artifact: Artifact, skipped: bool, seconds: float = 0.0) -> StageRecord:
    """What the report says of an artifact."""
    whole = left.record(artifact)
    return replace(
        whole,
        name=planned.stage.label,
        method=planned.method,
        seconds=seconds,
        skipped=skipped,
        optimizer_steps=0 if skipped else steps(whole.metrics),
    )


def steps(metrics: Metrics) -> int:
    """Optimiser steps that a stage reports; 0 for one that does not train."""
    return int(metrics["optimizer_steps"].value) if "optimizer_steps" in metrics else 0


def make(planned: Planned, context: Context, draft: Draft) -> StageRecord:
    """Do the stage's work, and commit what it wrote."""
    started = time.perf_counter()
    stage = planned.stage
    written = cleaned(recipe.written(stage))
    (draft.folder / RECIPE).write_text(recipe.text(written), "utf-8")
    unfinished = identity.store(stage.root).unfinished(planned.identity)
    if context.force:
        shutil.rmtree(unfinished, ignore_errors=True)
    count, resumes = processes(stage.node), not context.force and str(stage.node.get("resume")) != "never"
    run = told(stage, context, written)
    with tracked(options(stage), run, unfinished, resumes=resumes, elsewhere=count > 1) as tracker:
        if count == 1:
            metrics = do_here(stage, draft, unfinished, tracker.loggers)
        else:
            metrics = do_apart(stage, tracker.run, draft, unfinished, count)
            tracker.open(again=True)
        gc.collect()
        seconds = time.perf_counter() - started
        clean(draft.folder, BESIDE)
        facts = manifest(planned, context, written, metrics) | {"seconds": round(seconds, 2)}
        artifact = draft.commit(cleaned(facts | ({"tracking": tracker.place} if tracker.place else {})))
        shutil.rmtree(unfinished, ignore_errors=True)
        whole = record(planned, artifact, skipped=False, seconds=seconds)
        tracker.result = result(stage, artifact, whole)
    return whole


def do_here(stage: Stage, draft: Draft, unfinished: Path, logger: object) -> Metrics:
    """Build the stage's parts and call it in this process."""
    from pytorch_lightning import seed_everything

    reset_peak_memory()
    seed_everything(int(stage.node.seed), workers=True, verbose=False)
    metrics = call(build(stage), draft.folder, logger, unfinished)
    return metrics | {"peak_memory": Metric(peak_memory(), unit="bytes", better="lower")}


def do_apart(stage: Stage, run: Run, draft: Draft, unfinished: Path, count: int) -> Metrics:
    """The same in `count` processes."""
    with TemporaryDirectory(prefix="llmcycle-") as folder:
        whole = Path(folder) / RECIPE  # with credentials, which the artifact's own is without
        whole.write_text(recipe.text(recipe.written(stage)), "utf-8")
        job = Job(
            recipe=str(whole.resolve()),
            out=str(draft.folder),
            checkpoints=str(unfinished),
            result=str(Path(folder) / "metrics.json"),
            run=asdict(run),
            allowed=sorted(allowed()),
        )
        return run_apart(job, count, Path(folder) / "job.json", str(stage.root.outputs))


def call(stage: Callable[..., Metrics], out: Path, logger: object, checkpoints: Path) -> Metrics:
    """Call a built stage with what the runner supplies; only one that can go on after an interruption gets a place."""
    resumable = {"checkpoints": checkpoints} if "checkpoints" in inspect.signature(stage).parameters else {}
    return stage(out=out, logger=logger, **resumable)


def logs(stage: Stage, context: Context) -> Path:
    """Where a stage's loggers may write."""
    return context.folder / "logs" / stage.label


def options(stage: Stage) -> dict[str, Any] | None:
    """The options of a stage's loggers."""
    node = stage.node.get("logger")
    return plain(node) if node else None


def told(stage: Stage, context: Context, written: dict[str, Any]) -> Run:
    """What a stage's loggers are told: its configuration as it is, and below `typed` as the user has written it."""
    resolved = {key: value for key, value in stage.resolved(recipe.inputs(stage)).items() if key != "logger"}
    typed = {"command": context.command, "overrides": list(context.overrides), "recipe": written}
    return Run(
        folder=str(logs(stage, context)),
        group=context.group,
        job_type=stage.label,
        name=context.label or stage.label,
        config={**cleaned(resolved), "typed": typed},
        is_last=stage.label == context.last,
    )


def result(stage: Stage, artifact: Artifact, whole: StageRecord, **more: Any) -> Result:
    """What the loggers are told when the artifact is there."""
    store, places = identity.store(stage.root), {key: identity.location(stage, key) for key in stage.inputs}
    inputs = {key: source for key, place in places.items() if (source := store.find(place)) is not None}
    samples = left.beside([left.samples(source.folder) for source in inputs.values()], whole.samples)
    tables = {"samples": samples, "own_rows": whole.own_rows, "answers": whole.drawn}
    return Result(artifact, whole.metrics, inputs, cleaned(tables), **more)


def link(stage: Stage, context: Context, artifact: Artifact, whole: StageRecord) -> None:
    """Log that nothing was to be done, where a logger can say which run has done it."""
    maker: dict[str, Any] = next(iter((artifact.manifest.get("tracking") or {}).values()), {})
    run = told(stage, context, cleaned(recipe.written(stage))).linking_to(maker)
    if loggers := open_loggers(options(stage), run, by_id=True):
        loggers.close(result(stage, artifact, whole, maker=maker))


def manifest(planned: Planned, context: Context, written: dict[str, Any], metrics: Metrics) -> dict[str, Any]:
    """What the artifact says of itself beside its files."""
    return {
        "method": planned.method,
        "config": written,
        "seed": written["seed"],
        "inputs": {key: origin(planned.stage, key) for key in written["inputs"]},
        "data": {
            key: {"path": str(path), "digest": digest_path(path)} for key, path in identity.content(written.get("data"))
        },
        "metrics": {key: asdict(metric) for key, metric in metrics.items()},
        "versions": environment(),
        "git": git_state(),
        "command": context.command,
    }


def origin(stage: Stage, key: str) -> dict[str, str]:
    """Where an input came from: an artifact's id, local content by digest, or a Hub name and its commit."""
    value = identity.location(stage, key)
    kind, _, rest = identity.input_token(stage, key).partition(":")
    name, _, commit = rest.partition("@")
    if kind == "artifact":
        return {"id": rest}
    if kind == "hub":
        return {"hub": name, **({"revision": commit} if commit else {})}
    return {"digest": f"{kind}:{rest}", "path": value}
