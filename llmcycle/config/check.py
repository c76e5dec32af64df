"""Refuse a bad recipe before it costs anything: before a folder is made, a model loaded or a step taken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from llmcycle.artifact import AmbiguousId, CorruptArtifact

from . import hub, identity, plain_tree, stages
from .adapters import check_adapters
from .allow import check_lookup, check_target, lookups
from .asking import check_asking
from .columns import check_columns
from .dangling import instead
from .errors import ConfigError, RecipeErrors, alike, nearest
from .extras import check_extras
from .fitting import check_fitting
from .hydra_node import check_hydra
from .kinds import check_kinds
from .layers import check_layers
from .loggers import check_loggers
from .options import Swaps, choice
from .parts import stated
from .places import check_places
from .roles import check_critic, check_roles
from .schema import OF_RUNS, SETTINGS
from .signature import UNKNOWN, bind, keywords, named
from .sources import check_sources, folders
from .stages import Stage, sibling
from .structure import check_facts, check_given, check_resume, check_run_wide, check_structure
from .swapped_stage import check_swapped_stage
from .training import check_training
from .trial import check_trial
from .unread import check_reads
from .values import FILES, at, check_values, chosen_at, is_lookup, origin, steps, wanted

READ = (".txt", ".json", ".jsonl", ".csv", ".tsv", ".parquet")  # endings of files with rows
FEW = 4  # artifacts that a remedy names
INPUTS = "inputs"
ROWS = "data"  # what a part with rows calls itself in its complaints
WORLD = "world"  # what the synthetic shop's parts read
OWN = "mypkg.score"  # what a user may call a function
SOMETHING = "owner/name"  # an input that nothing is known of, by the form of its name
LOGGER = re.compile(r"logger(\.\w+)?")  # where an option of a logger stands
# What the runner adds when it calls these nodes.
SUPPLIED = {"stage": ("out", "logger", "checkpoints")}


def check(root: DictConfig) -> None:
    """Everything that can be known to be wrong with a composed recipe.

    Raises:
        RecipeErrors: all problems of the first kind that was found (structure, then targets, then inputs).
    """
    refuse(check_run_wide(root))
    refuse(check_hydra(root) if "hydra" in root else [])
    refuse(check_structure(root))
    stages_here = stages.of(root)
    refuse(each(stages_here, check_facts))
    refuse(each(stages_here, check_given))
    refuse(each(stages_here, check_resume))
    refuse(each(stages_here, check_targets))
    for rule in (*VALUES, *REFERENCES, *KINDS):
        refuse(each(stages_here, rule))


def check_shown(root: DictConfig) -> None:
    """The same of a composition that is only shown: what it still has to be given, it need not have.

    Raises:
        RecipeErrors: as `check`.
    """
    filled = root.copy()
    with open_dict(filled):
        for stage in stages.of(filled):
            for key in stage.unset:
                stage.node.inputs[key] = SOMETHING
    check(filled)


def refuse(errors: list[ConfigError]) -> None:
    """Raise the errors that there are, each once: several stages may read one faulty part."""
    if errors:
        raise RecipeErrors(list({str(error): error for error in errors}.values()))


def each(stages_here: list[Stage], rule: Callable[[Stage], Iterator[ConfigError]]) -> list[ConfigError]:
    """A rule's errors over all stages."""
    return [error for stage in stages_here for error in rule(stage)]


def check_targets(stage: Stage) -> Iterator[ConfigError]:
    """Every `_target_` may be called, and takes what it is given. A node seen through a reference is reported once."""
    try:
        config = stage.settled
    except ConfigError as error:
        yield as_wanted(stage, error)
        return
    seen: set[tuple[str, str]] = set()
    for path, node in outermost(config):
        for fault in check_node(stage, path, node):
            mark = (fault.key.rpartition(".")[2], fault.reason)
            if mark not in seen:
                seen.add(mark)
                yield left_over(stage, path, fault)


def left_over(stage: Stage, path: str, error: ConfigError) -> ConfigError:
    """A setting that the recipe has for its own option, and that the one which the user has chosen does not take."""
    swaps = Swaps(stage)
    own = error.key not in swaps.typed and error.key.rpartition(".")[2] not in swaps.chosen(path)
    if UNKNOWN in error.reason and own and swaps.was_typed(swaps.at(path)):
        return ConfigError(error.key, f"{error.reason}; the recipe sets it for another option", f"~{error.key}")
    return error


def outermost(config: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every (dotted path, mapping) that holds a `_target_`, a part before what refers to it."""
    parts = {key: value for key, value in config.items() if key not in (*SETTINGS, *OF_RUNS)}
    nodes = [node for part, value in parts.items() for node in plain_tree.targets(value, part)]
    return sorted(nodes, key=lambda pair: pair[0].count(".") + pair[0].count("["))


def check_node(stage: Stage, path: str, node: dict[str, Any]) -> list[ConfigError]:
    """One mapping with a `_target_`."""
    name, key = node["_target_"], stage.dot(path)
    if not isinstance(name, str):
        return [ConfigError(f"{key}._target_", f"a dotted name is needed, found {name!r}")]
    try:
        target = check_target(name, f"{key}._target_")
        if target in lookups():
            own = chosen_at(stage, origin(stage.raw, path))
            usual = str(own["path"]).replace("???", OWN) if is_lookup(own) else ""
            if node.get("path") != "???":  # that it is missing is told by check_reads
                check_lookup(node.get("path"), f"{key}.path", usual)
    except ConfigError as error:
        is_name = re.fullmatch(r"\w+(\.\w+)+", error.remedy)
        return [ConfigError(error.key, error.reason, f"{error.key}={error.remedy}") if is_name else error]
    partial = {**node, "_partial_": True} if LOGGER.fullmatch(path) else node  # the run tells it the rest
    return [as_wanted(stage, error) for error in bind(target, partial, key, SUPPLIED.get(path, ()))]


def as_wanted(stage: Stage, error: ConfigError) -> ConfigError:
    """The error with what its receiver's annotation asks for, where it is about an argument that is missing."""
    if error.remedy != f"{error.key}=VALUE":
        return error
    place = error.key.removeprefix(f"{stage.name}.") if stage.name else error.key
    return ConfigError(error.key, error.reason, instead(stage, place) or wanted(stage, place))


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
        except AmbiguousId as error:
            here = stage.dot("inputs", key)
            yield ConfigError(here, error.reason, choice([f"{here}={name}" for name in error.names]))
        except ConfigError as error:
            yield error


def check_absent_sibling(stage: Stage, key: str, other: str) -> Iterator[ConfigError]:
    """A sibling that this run does not reach before the stage must have left its artifact earlier."""
    root, name = stage.root, stage.name
    if identity.store(root).find(identity.location(stage, key)) is None:
        reason = f"it asks for the artifact of `{other}`, which does not run before `{name}` and is not in the store"
        yield ConfigError(stage.dot("inputs", key), reason, f"add {other} to lifecycle, before {name}")


def check_location(stage: Stage, key: str, other: str | None) -> Iterator[ConfigError]:
    """An artifact must be whole; a path must exist; what looks like a Hub name is left to the Hub."""
    value = identity.location(stage, key)
    artifact = identity.store(stage.root).find(value)
    if artifact is not None:
        artifact.verify()
    elif other is None and not Path(value).expanduser().exists() and is_nowhere(stage, key, value):
        here = stage.dot("inputs", key)
        remedy = store_beside(stage.root, value) or f"{here}={known_place(stage, key, value)}"
        reason = f"there is no file, folder or artifact {value}"
        hub_too = ", and no such name in the Hub's cache or, where it can be asked, on the Hub (most are OWNER/NAME)"
        yield ConfigError(here, reason + ("" if hub.looks_local(value) else hub_too), remedy)


def is_nowhere(stage: Stage, key: str, value: str) -> bool:
    """Whether a name that is not on this disk is none of the Hub either: one by its form is believed to be."""
    owner, slash, _ = value.partition("/")
    believed = bool(slash) and not Path(owner).is_dir()
    believed |= any(stated(node, "names_models") for node in readers(stage, key))
    return hub.looks_local(value) or not (believed or identity.commits(stage, key, value))


def readers(stage: Stage, key: str) -> Iterator[dict[str, Any]]:
    """The nodes that refer to an input by a setting of their own, as an engine to its model."""
    for name in stage.readers("inputs", key):
        for path, node in plain_tree.targets(stage.raw[name], name):
            own = {setting: value for setting, value in node.items() if not isinstance(value, dict | list)}
            if ("inputs", key) in plain_tree.references(own, tuple(map(str, steps(path)))):
                yield node


def store_beside(root: DictConfig, value: str) -> str:
    """Where an artifact's own recipe is run from another folder: the store that it lies in, if it holds `value`."""
    homes = [Path(str(source.path)) for source in root.hydra.runtime.config_sources if source.provider == "main"]
    stores = [home.parent.parent for home in homes if home.parent.name == "artifacts"]
    return next((f"outputs={outputs}" for outputs in stores if (outputs / "artifacts" / value).is_dir()), "")


def known_place(stage: Stage, key: str, value: str) -> str:
    """What is there and has nearly this name: a neighbour of the path, or an artifact; else models that are here."""
    parent = Path(value).expanduser().parent
    beside = [str(path) for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    made = [artifact.folder.name for artifact in identity.store(stage.root).artifacts()]
    there = folders(stage, key) or made
    near = nearest(value, beside) or next(iter(alike(value, made)), "")
    if near or not there:
        return near or "FOLDER, an artifact's id or a Hub name"
    others = f", or another of {', '.join(there[:FEW])}{', ...' * (len(there) > FEW)}"
    return there[0] + others * (len(there) > 1)


def check_parts(stage: Stage) -> Iterator[ConfigError]:
    """What a part can tell of its arguments before it is built, such as rows that are not there: by its `preflight`."""
    seen: list[tuple[str, dict[str, Any]]] = []
    for path, node in outermost(stage.settled):
        preflight = getattr(check_target(node["_target_"], stage.dot(path)), "preflight", None)
        try:
            if preflight is not None:
                preflight(**{key: value for key, value in node.items() if not key.startswith("_")})
        except ValueError as error:
            if (str(error), node) not in seen:  # the same part, seen through a reference
                yield of_part(stage, path, node, str(error))
            seen.append((str(error), node))


def of_part(stage: Stage, path: str, node: dict[str, Any], text: str) -> ConfigError:
    """What a part says of its arguments: of one of them, of the world that it reads, or of all together."""
    target = check_target(node["_target_"], path)
    arguments = "|".join({*named(target)[0], *keywords(target)})
    if hasattr(target, "rows_have"):  # rows do not know where they stand
        text = re.sub(rf"(?<![\w.]){ROWS}\.(?=\w)", f"{path}.", text)
    inner = re.match(rf"(?:({re.escape(path)}|{WORLD}|{INPUTS})[.]([\w.]+)|({arguments})): (.*)", text, re.DOTALL)
    above, key, own, said = inner.groups() if inner else (path, "", None, text)
    reason, _, remedy = said.partition("\n  try: ")
    world = plain_tree.plain(stage.root, resolve=False).get(WORLD)
    if above == WORLD and node.get(WORLD) == world:  # all stages' own
        return ConfigError(f"{WORLD}.{key}", reason, " ".join(signed(world, "", setting) for setting in remedy.split()))
    if above == WORLD or own:
        place = path if own else f"{path}.{WORLD}"
        settings = [setting.removeprefix(f"{WORLD}.") for setting in remedy.split()]
        remedy = " ".join(signed(node if own else node[WORLD], stage.dot(place), setting) for setting in settings)
        return ConfigError(f"{stage.dot(place)}.{own or key}", reason, remedy)
    where = stage.dot(f"{above}.{key}" if key else path)
    return ConfigError(where, reason, (stage.dot(remedy) if remedy else "") or beside(where, reason, node))


def signed(holder: dict[str, Any], place: str, setting: str) -> str:
    """A setting as it is typed: one that is not written in its mapping is added by a +."""
    name = setting.removeprefix(f"{WORLD}.").partition("=")[0]
    parent, _, last = name.rpartition(".")
    inside = at(holder, steps(parent)) if parent else holder
    return f"{'' if last in (inside or {}) else '+'}{place}{'.' * bool(place)}{setting}"


def beside(key: str, reason: str, node: dict[str, Any]) -> str:
    """A file that can be read in the place of one that can't: the nearest in its folder or in this one."""
    last = re.search(r"(\w+)$", reason.partition(":")[0]) if ":" in reason else None
    place = key if key.rpartition(".")[2] in node else f"{key}.{last[1]}" if last else key
    value = node.get(place.rpartition(".")[2])
    if not isinstance(value, str) or place.rpartition(".")[2] not in FILES:
        return ""
    folders = dict.fromkeys([Path(value).expanduser().parent, Path()])
    there = [str(file) for folder in folders if folder.is_dir() for file in folder.iterdir() if readable(file)]
    return f"{place}={nearest(value, [name for name in there if name != value]) or 'FILE'}"


def readable(file: Path) -> bool:
    """Whether a file's ending is one of those that rows are read from."""
    return file.is_file() and file.suffix in READ


# One after the other: the later ones take for granted what the earlier ones have found right.
VALUES = (check_swapped_stage, check_values, check_places, check_loggers, check_reads, check_extras, check_trial)
REFERENCES = (check_inputs, check_adapters, check_parts)
KINDS = (
    *(check_sources, check_kinds, check_roles, check_critic, check_fitting),
    *(check_columns, check_asking, check_training, check_layers),
)
