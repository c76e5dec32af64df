"""Refuse a bad recipe before it costs anything: before a folder is made, a model loaded or a step taken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from llmcycle.artifact import CorruptArtifact

from . import identity, stages
from .adapters import check_adapters
from .allow import check_lookup, check_target, lookups
from .errors import ConfigError, RecipeErrors, choose, nearest
from .hints import by_ending, dotted
from .hydra_node import check_hydra
from .paths import extended
from .schema import PARTS, SCALARS
from .signature import bind
from .stages import Stage, sibling
from .values import check_values

# What the runner adds when it calls these nodes.
SUPPLIED = {"stage": ("out", "logger", "checkpoints")}


def check(root: DictConfig) -> None:
    """Everything that can be known to be wrong with a composed recipe.

    Raises:
        RecipeErrors: all problems of the first kind that was found (structure, then targets, then inputs).
    """
    refuse(check_structure(root))
    stages_here = stages.of(root)
    refuse(each(stages_here, check_given))
    refuse(each(stages_here, check_resume))
    refuse([*(check_hydra(root.hydra) if "hydra" in root else ()), *each(stages_here, check_targets)])
    for rule in (check_values, check_reads, check_inputs, check_adapters, check_parts):
        refuse(each(stages_here, rule))


def refuse(errors: list[ConfigError]) -> None:
    """Raise what was found, if anything was."""
    if errors:
        raise RecipeErrors(errors)


def each(stages_here: list[Stage], rule: Callable[[Stage], Iterator[ConfigError]]) -> list[ConfigError]:
    """A rule's errors over all stages."""
    return [error for stage in stages_here for error in rule(stage)]


def check_structure(root: DictConfig) -> list[ConfigError]:
    """The lifecycle's list and the root's keys."""
    present = stages.present(root)
    errors = [
        ConfigError(
            "lifecycle", f"`{name}` is no stage of this recipe", nearest(name, present) or in_order(root, present)
        )
        for name in stages.names(root)
        if name and name not in present
    ]
    known = ["seed", "outputs", "world", "lifecycle", *present] if root.get("lifecycle") else [*SCALARS, *PARTS]
    deeper = list(dotted(stages.plain(root, resolve=False)))
    for key in stages.unknown_root_keys(root):
        remedy = nearest(key, known) or next(iter(by_ending(key, deeper)), "") or choose(key, known)
        errors.append(ConfigError(key, "nothing reads this key", remedy))
    if not isinstance(root.seed, int):
        errors.append(ConfigError("seed", f"a whole number is needed, found {root.seed!r}", "seed=0"))
    for stage in [] if errors else stages.of(root):
        if not stage.node.get("stage"):
            errors.append(
                ConfigError(stage.dot("stage"), "the recipe names no stage to run", "defaults: [/stage: fit]")
            )
    return errors


def check_resume(stage: Stage) -> Iterator[ConfigError]:
    """`resume` is a word that it knows or the folder of a checkpoint."""
    value = str(stage.node.get("resume") or stages.RESUME[0])
    if value not in stages.RESUME and not (Path(value) / identity.CHECKPOINT).is_file():
        key = stage.dot("resume")
        yield ConfigError(
            key, f"{value} is no folder with a checkpoint in it", f"{key}=auto, {key}=never or {key}=FOLDER"
        )


def in_order(root: DictConfig, present: list[str]) -> str:
    """The lifecycle that is left when the stages that the recipe lacks are taken out."""
    return f"lifecycle=[{','.join(name for name in root.lifecycle if name in present)}]"


def check_given(stage: Stage) -> Iterator[ConfigError]:
    """Every input that is read has a value, and the stage that it asks for exists."""
    for key, value in stage.inputs.items():
        if ("inputs", key) not in stage.reads:
            continue
        here, other = stage.dot("inputs", key), sibling(value)
        if value in (None, "???"):
            yield ConfigError(here, "it is missing", f"{here}=FOLDER, an artifact's id or a Hub name")
        elif other is not None:
            try:
                identity.another(stage, other, key)
            except ConfigError as error:
                yield error


def check_targets(stage: Stage) -> Iterator[ConfigError]:
    """Every `_target_` may be called, and takes what it is given. A node seen through a reference is reported once."""
    try:
        config = stage.settled
    except ConfigError as error:
        yield error
        return
    seen: set[tuple[str, str]] = set()
    for path, node in outermost(config):
        for fault in check_node(path, node, stage.dot(path)):
            mark = (fault.key.rpartition(".")[2], fault.reason)
            if mark not in seen:
                seen.add(mark)
                yield fault


def outermost(config: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every (dotted path, mapping) that holds a `_target_`, a part before what refers to it."""
    nodes = [each for part in PARTS for each in stages.targets(config.get(part), part)]
    return sorted(nodes, key=lambda pair: pair[0].count(".") + pair[0].count("["))


def check_node(path: str, node: dict[str, Any], key: str) -> list[ConfigError]:
    """One mapping with a `_target_`."""
    name = node["_target_"]
    if not isinstance(name, str):
        return [ConfigError(f"{key}._target_", f"a dotted name is needed, found {name!r}")]
    try:
        target = check_target(name, f"{key}._target_")
        if target in lookups():
            check_lookup(node.get("path"), f"{key}.path")
    except ConfigError as error:
        return [error]
    partial = {**node, "_partial_": True} if path == "logger" else node
    return bind(target, partial, key, SUPPLIED.get(path, ()))


def check_reads(stage: Stage) -> Iterator[ConfigError]:
    """Nothing is missing, and no part or input is given that nothing reads."""
    raw, reads = stage.raw, stage.reads
    parts = {reference[0] for reference in reads} | {"stage", "logger"}
    for part in PARTS:
        if raw.get(part) and part not in parts:
            reason = f"nothing in this recipe reads it: `{raw['name']}` has no use for {part}"
            yield ConfigError(stage.dot(part), reason, "leave it out")
    for key in stage.inputs:
        if ("inputs", key) not in reads:
            used = sorted(reference[1] for reference in reads if reference[0] == "inputs" and len(reference) > 1)
            remedy = nearest(key, used) or without(stage) or (choose(key, used) if used else "")
            yield ConfigError(stage.dot("inputs", key), "nothing in this recipe reads this input", remedy)
    for path, value in stages.strings({part: raw.get(part) for part in PARTS}):
        if value == "???":
            yield ConfigError(stage.dot(path), "it is missing", f"{stage.dot(path)}=VALUE")


def without(stage: Stage) -> str:
    """How to run the shipped recipe that this one extends by an input: `reinforce` is `rlvr` with a reward model."""
    name, hydra = stage.name, stage.root.hydra
    base = extended(str(hydra.runtime.choices.get(f"recipes@{name}") if name else hydra.job.config_name))
    return "" if not base else f"recipes@{name}={base}" if name else f"llmcycle {base}, which does without it"


def check_inputs(stage: Stage) -> Iterator[ConfigError]:
    """Every input is given and leads to something: an earlier stage, a whole artifact, a local path or a Hub name."""
    order = stages.names(stage.root)
    for key, value in stage.inputs.items():
        other = sibling(value)
        try:
            if other is not None and (other not in order or order.index(other) > order.index(stage.name)):
                yield from check_absent_sibling(stage, key, other)
            else:
                yield from check_location(stage, key, other)
        except CorruptArtifact as error:
            yield ConfigError(stage.dot("inputs", key), str(error))
        except ConfigError as error:
            yield error


def check_absent_sibling(stage: Stage, key: str, other: str) -> Iterator[ConfigError]:
    """A sibling that this run does not reach before the stage must have left its artifact earlier."""
    root, name = stage.root, stage.name
    if identity.store(root).find(identity.artifact_folder(other, _root_=root)) is None:
        reason = f"it asks for the artifact of `{other}`, which does not run before `{name}` and is not in the store"
        yield ConfigError(stage.dot("inputs", key), reason, f"add {other} to lifecycle, before {name}")


def check_location(stage: Stage, key: str, other: str | None) -> Iterator[ConfigError]:
    """An artifact must be whole; a path must exist; what looks like a Hub name is left to the Hub."""
    value = str(stage.node.inputs[key])
    artifact = identity.store(stage.root).find(value)
    if artifact is not None:
        artifact.verify()
    elif other is None and not Path(value).expanduser().exists() and looks_local(value):
        here, place = stage.dot("inputs", key), known_place(stage.root, value)
        yield ConfigError(here, f"there is no file, folder or artifact {value}", f"{here}={place}")


def known_place(root: DictConfig, value: str) -> str:
    """What is there and has nearly this name: a neighbour of the path, or an artifact."""
    parent = Path(value).expanduser().parent
    beside = [str(path) for path in parent.iterdir()] if parent.is_dir() else []
    made = [artifact.folder.name for artifact in identity.store(root).artifacts()]
    return nearest(value, [*beside, *made]) or "FOLDER, an artifact's id or a Hub name"


def looks_local(value: str) -> bool:
    """Whether a name cannot be a Hub name, which is `name` or `owner/name`."""
    return value.startswith((".", "/", "~")) or value.count("/") > 1 or Path(value).suffix in LOCAL_SUFFIXES


LOCAL_SUFFIXES = {".txt", ".json", ".jsonl", ".csv", ".parquet", ".gz", ".safetensors", ".gguf"}


def check_parts(stage: Stage) -> Iterator[ConfigError]:
    """What a part can tell of its arguments before it is built, such as rows that are not there: by its `preflight`."""
    seen: set[str] = set()
    for path, node in outermost(stage.settled):
        preflight = getattr(check_target(node["_target_"], stage.dot(path)), "preflight", None)
        try:
            if preflight is not None:
                preflight(**{key: value for key, value in node.items() if not key.startswith("_")})
        except ValueError as error:
            if str(error) not in seen:  # the same part, seen through a reference
                inner = re.match(rf"{re.escape(path)}([.][\w.]+): (.*)", str(error), re.DOTALL)
                key, reason = inner.groups() if inner else ("", str(error))
                yield ConfigError(stage.dot(path) + key, reason)
            seen.add(str(error))
