"""Run one stage: seed, build, call, record. Knows nothing of what any stage does."""

from __future__ import annotations

import gc
import inspect
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from llmcycle import left
from llmcycle.artifact import Artifact, CorruptArtifact, Draft, digest_path, environment, git_state
from llmcycle.building import build
from llmcycle.config import ConfigError, identity, recipe
from llmcycle.config.allow import allowed
from llmcycle.config.stages import Stage, plain
from llmcycle.evaluate.metric import Metric, Metrics
from llmcycle.log import BESIDE, clean
from llmcycle.masking import cleaned
from llmcycle.peak_memory import peak_memory, reset_peak_memory
from llmcycle.processes import Job, processes, run_apart
from llmcycle.report import StageRecord
from llmcycle.tracking import close_logger, open_logger

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
    """

    folder: Path
    group: str
    label: str = ""
    command: str = ""
    choices: dict[str, str] = field(default_factory=dict)
    store: str = ""
    force: bool = False
    sweep: Path | None = None


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
        return up_to_date(planned, planned.existing)
    store, title = identity.store(planned.stage.root), planned.stage.title
    with store.write(title, planned.identity, on_wait=on_wait, replace=context.force) as draft:
        if draft.existing is not None:
            return up_to_date(planned, draft.existing)
        return make(planned, context, draft)


def up_to_date(planned: Planned, artifact: Artifact) -> StageRecord:
    """The record of a stage that is up to date."""
    artifact.verify()
    return record(planned, artifact, skipped=True)


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
    count = processes(stage.node)
    with tracked(stage, context, written, open_now=count == 1) as tracker:
        if count == 1:
            metrics = do_here(stage, draft, unfinished, tracker.logger)
        else:
            metrics = do_apart(planned, context, draft, unfinished, count)
        gc.collect()
        seconds = time.perf_counter() - started
        clean(draft.folder, BESIDE)
        artifact = draft.commit(cleaned(manifest(planned, context, written, metrics)) | {"seconds": round(seconds, 2)})
        shutil.rmtree(unfinished, ignore_errors=True)
        tracker.metrics, tracker.facts = metrics, {"id": artifact.id, "name": artifact.name, "inputs": artifact.inputs}
    return record(planned, artifact, skipped=False, seconds=seconds)


def do_here(stage: Stage, draft: Draft, unfinished: Path, logger: object) -> Metrics:
    """Build the stage's parts and call it in this process."""
    from pytorch_lightning import seed_everything

    reset_peak_memory()
    seed_everything(int(stage.node.seed), workers=True, verbose=False)
    metrics = call(build(stage), draft.folder, logger, unfinished)
    return metrics | {"peak_memory": Metric(peak_memory(), unit="bytes", better="lower")}


def do_apart(planned: Planned, context: Context, draft: Draft, unfinished: Path, count: int) -> Metrics:
    """The same in `count` processes."""
    stage = planned.stage
    inputs = {key: origin(stage, key) for key in stage.inputs}
    with TemporaryDirectory(prefix="llmcycle-") as folder:
        whole = Path(folder) / RECIPE  # with credentials, which the artifact's own is without
        whole.write_text(recipe.text(recipe.written(stage)), "utf-8")
        job = Job(
            recipe=str(whole.resolve()),
            out=str(draft.folder),
            checkpoints=str(unfinished),
            result=str(Path(folder) / "metrics.json"),
            logger={
                **logger_arguments(stage, context, cleaned(recipe.written(stage))),
                "folder": str(logs(stage, context)),
            },
            facts={"id": planned.identity[:12], "name": stage.title, "inputs": inputs},
            allowed=sorted(allowed()),
        )
        return run_apart(job, count, Path(folder) / "job.json", str(stage.root.outputs))


def call(stage: Callable[..., Metrics], out: Path, logger: object, checkpoints: Path) -> Metrics:
    """Call a built stage with what the runner supplies; only one that can go on after an interruption gets a place."""
    resumable = {"checkpoints": checkpoints} if "checkpoints" in inspect.signature(stage).parameters else {}
    return stage(out=out, logger=logger, **resumable)


@dataclass
class Tracked:
    """A stage's logger, and what it will be told when it closes."""

    logger: Any
    metrics: Metrics = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def logs(stage: Stage, context: Context) -> Path:
    """Where a stage's logger may write."""
    return context.folder / "logs" / stage.label


def logger_arguments(stage: Stage, context: Context, config: dict[str, Any]) -> dict[str, Any]:
    """What a stage's logger is told of the run."""
    names = {"group": context.group, "job_type": stage.title, "run_name": context.label or stage.title}
    return {**names, "config": config}


@contextmanager
def tracked(stage: Stage, context: Context, config: dict[str, Any], *, open_now: bool) -> Iterator[Tracked]:
    """The run's logger for one stage, closed whatever happens, so that the next stage gets one of its own.

    A stage of several processes opens it in the first of them: then `open_now` is false.
    """
    node = stage.node.get("logger") if open_now else None
    arguments = logger_arguments(stage, context, config)
    logger = open_logger(plain(node) if node else None, folder=logs(stage, context), **arguments)
    tracker = Tracked(logger)
    try:
        yield tracker
    finally:
        close_logger(logger, tracker.metrics, tracker.facts)


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
