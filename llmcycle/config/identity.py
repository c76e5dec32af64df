"""Ids: what a stage will be called in the store, known before it runs because everything that shapes it is hashed."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from omegaconf import DictConfig, OmegaConf

from llmcycle.artifact import SOMETIMES, Store, digest_path, environment, identify

from . import hub, plain_tree, stages
from .allow import permitted, resolve
from .errors import ConfigError, choose
from .facts import taken_off
from .stages import Stage, sibling

ID_LENGTH = 12  # hex digits, as in the store
# Keys of the `data` part that name content outside the recipe; a local file there counts by its bytes, not its path.
CONTENT = ("train", "validation")
# Keys of a stage that change nothing in its result: what is shown or logged on the way, and what an interruption needs.
# They are neutral by their place in the stage, and with them what refers to them: an argument `checkpoint` of a user's
# class counts, and the list that the trainer makes of the callbacks lacks `callbacks.progress`.
NEUTRAL = (
    "logger",
    "resume",
    "callbacks.progress",
    "callbacks.checkpoint",
    "trainer.enable_progress_bar",
    "trainer.logger",
)
MARK = "\0neutral"  # stands for their values while the stage is resolved, and is dropped wherever it came
# Classes of other packages that use a library which shapes some stages only. Our own say it by `libraries`.
USES = {"transformers.BitsAndBytesConfig": "bitsandbytes"}
CHECKPOINT = "checkpoint.json"  # in the folder that `resume` names: the digests of everything in it


def store(root: DictConfig) -> Store:
    """The store of this run."""
    return Store(Path(str(root.outputs)) / "artifacts")


def input_token(stage: Stage, key: str) -> str:
    """What stands for an input in an id: `artifact:ID`, `sha256:...` of local content, or `hub:NAME@COMMIT`.

    The same input gives the same token whether named by path, by artifact or by sibling. Where neither the cache nor
    the Hub can tell the commit it is `hub:NAME`, and a stated revision counts as the part's setting that it is.
    """
    if (other := sibling(stage.inputs[key])) is not None:
        return f"artifact:{stage_id(another(stage, other, key))[:ID_LENGTH]}"
    value = str(stage.node.inputs[key])
    if (artifact := store(stage.root).find(value)) is not None:
        return f"artifact:{artifact.id}"
    if Path(value).expanduser().exists():
        return str(digest_path(Path(value).expanduser()))
    return "@".join((f"hub:{value}", *commits(stage, key, value)))


def commits(stage: Stage, key: str, name: str) -> list[str]:
    """The commits at which the parts that read an input take `name` from the Hub, as far as they are known."""
    readers = stage.readers("inputs", key)
    kind = "dataset" if "data" in readers else "model"
    revisions = {str(OmegaConf.select(stage.node, f"{part}.revision") or hub.MAIN) for part in readers}
    return sorted({commit for revision in revisions if (commit := hub.commit(name, kind, revision))})


def input_tokens(stage: Stage) -> dict[str, str]:
    """Tokens of all inputs that have a value."""
    return {key: input_token(stage, key) for key in stage.inputs}


def content(data: object) -> Iterator[tuple[str, Path]]:
    """(dotted key, path) of every local file or folder, and of files by `*`, that a resolved `data` part names."""
    return ((key, Path(value).expanduser()) for key, value in named_content(data) if is_local(value))


def named_content(data: object) -> Iterator[tuple[str, str]]:
    """(dotted key, name) of everything outside the recipe that a resolved `data` part takes rows from."""
    if not isinstance(data, dict):
        return
    places = [(key, data.get(key)) for key in CONTENT] + list(_named(data.get("sources"), "sources"))
    for name, each in (data.get("filters") or {}).items():
        places += _named((each or {}).get("against"), f"filters.{name}.against")
    yield from ((key, value) for key, value in places if isinstance(value, str) and value != "???")


def is_local(name: str) -> bool:
    """Whether a name leads to something on this machine's disks, `*` in it included."""
    return Path(name).expanduser().exists() or bool(glob.glob(name, recursive=True))


def contents(stage: Stage) -> dict[str, str]:
    """What stage's data, and the rows that its evaluators have of their own, are read from: by keys of the stage."""
    evaluators = stage.raw.get("evaluate") or {}
    own = {f"evaluate.{name}.rows": (evaluator or {}).get("rows") for name, evaluator in evaluators.items()}
    parts = [part for part, written in {"data": stage.raw.get("data"), **own}.items() if isinstance(written, dict)]
    within = {part: named_content(plain_tree.plain(OmegaConf.select(stage.node, part))) for part in parts}
    named = {f"{part}.{key}": value for part, names in within.items() for key, value in names}
    return {key: value for key, value in named.items() if not of_input(stage, key)}  # an input has a token of its own


def of_input(stage: Stage, key: str) -> bool:
    """Whether what stands at a key of a stage is one of its inputs."""
    path = tuple(key.split("."))
    return any(leads[0] == "inputs" for leads in plain_tree.references(plain_tree.at(stage.raw, path), path))


def content_tokens(stage: Stage) -> dict[str, str]:
    """What stands for these in an id: the digest of local content, the commit of a data set of the Hub."""
    return {key: content_token(name) for key, name in contents(stage).items()}


def content_token(name: str) -> str:
    """The same for one of them; the name itself where the commit can't be told."""
    if is_local(name):
        return str(digest_path(Path(name).expanduser()))
    commit = hub.commit(name, "dataset")
    return f"hub:{name}@{commit}" if commit else name


def _named(sources: Mapping[str, Any] | None, key: str) -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of the places of named sources, each given by its path alone or among other settings."""
    for name, spec in (sources or {}).items():
        if isinstance(spec, dict):
            yield from ((f"{key}.{name}.{setting}", spec.get(setting)) for setting in ("path", *CONTENT))
        else:
            yield f"{key}.{name}", spec


IDS: WeakKeyDictionary[Stage, str] = WeakKeyDictionary()


def stage_id(stage: Stage) -> str:
    """The sha256 that names the stage's artifact, computed once for a stage.

    Raises:
        ConfigError: an input asks for the artifact of a stage that the recipe does not have.
    """
    if stage not in IDS:
        IDS[stage] = compute_id(stage)
    return IDS[stage]


def compute_id(stage: Stage) -> str:
    """The same, by resolving the stage and hashing what comes of it."""
    marks = dict.fromkeys(neutral(stage), MARK)
    config = taken_off(without_marks(stage.resolved(input_tokens(stage), {**content_tokens(stage), **marks})))
    seed = config.pop("seed")
    if "resume" in stage.raw:
        config["from_checkpoint"] = digest_path(Path(str(stage.node.resume)) / CHECKPOINT)
    return identify(config, seed=seed, versions=versions(stage, config))


def neutral(stage: Stage) -> Iterator[str]:
    """The keys that change nothing: those above, and settings of which a class says so by `neutral`, as its cache."""
    yield from (key for key in NEUTRAL if plain_tree.at(stage.written, tuple(key.split("."))) is not None)
    for path, node in plain_tree.targets(stage.parts, ""):
        own = says(str(node["_target_"]), "neutral")
        yield from (f"{path}.{name}" for name in own if name in node)


def without_marks(value: object) -> Any:
    """A plain container without the items that a neutral value stood in."""
    if isinstance(value, dict):
        return {key: without_marks(item) for key, item in value.items() if item != MARK}
    return [without_marks(item) for item in value if item != MARK] if isinstance(value, list) else value


def versions(stage: Stage, config: dict[str, Any]) -> dict[str, str | None]:
    """Of the environment's versions those that this stage depends on, going by what its resolved parts name."""
    texts = {text for _, text in plain_tree.leaves(config)}
    used = {library for library in SOMETIMES if any(permitted(text, (library,)) for text in texts)}
    used |= {USES[text] for text in texts & USES.keys()}
    used |= {library for _, node in plain_tree.targets(config, "") for library in libraries(str(node["_target_"]))}
    if not all(is_local(name) for name in contents(stage).values()):
        used.add("datasets")  # it reads the Hub's
    return {name: known for name, known in environment().items() if name not in SOMETIMES or name in used}


def libraries(target: str) -> tuple[str, ...]:
    """What a class says of itself: the libraries whose versions shape what it makes."""
    return says(target, "libraries")


def says(target: str, name: str) -> tuple[str, ...]:
    """Names that a class states of itself by an attribute; none of a target that is refused."""
    try:
        return tuple(getattr(resolve(target, ""), name, ()))
    except ConfigError:  # `check` says where
        return ()


def another(stage: Stage, name: str, key: str) -> Stage:
    """The stage `name` of the same recipe, whose artifact the input `key` of `stage` asks for.

    Raises:
        ConfigError: there is none; the nearest is suggested.
    """
    if stages.is_stage(stage.root.get(name)):
        return stage.beside(name)
    here = stage.dot("inputs", key)
    others = [f"${{artifact:{other}}}" for other in stages.present(stage.root)]
    remedy = choose(f"${{artifact:{name}}}", others) if others else f"{here}=FOLDER"
    raise ConfigError(here, f"it asks for the artifact of `{name}`, which is no stage of this recipe", remedy)


def artifact_folder(name: str, *, _root_: DictConfig) -> str:
    """Resolver of `${artifact:NAME}`: the folder where the sibling stage NAME's artifact is or will be.

    Of a stage that the recipe does not have only the name is told, since Hydra resolves an input that it takes out;
    `check` refuses the input where it stays.
    """
    names_only = stages.NAMES_ONLY.get() or not stages.is_stage(_root_.get(name))
    return f"artifact-{name}" if names_only else folder(Stage(_root_).beside(name))


def folder(stage: Stage) -> str:
    """Where a stage's artifact is or will be."""
    return str(store(stage.root).folder(stage.title, stage_id(stage)))


def location(stage: Stage, key: str) -> str:
    """What an input leads to: the folder of another stage's artifact, or what the user gave."""
    other = sibling(stage.inputs[key])
    if other is not None:
        return folder(another(stage, other, key))
    value = str(stage.node.inputs[key])
    return os.path.expanduser(value) if value.startswith("~") else value
