"""Ids: what a stage will be called in the store, known before it runs because everything that shapes it is hashed."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from llmcycle.artifact import Store, digest_path, environment, identify

from . import stages
from .errors import ConfigError, choose
from .stages import Stage, sibling

ID_LENGTH = 12  # hex digits, as in the store
# Keys of the `data` part that name content outside the recipe; a local file there counts by its bytes, not its path.
CONTENT = ("train", "validation")
CHECKPOINT = "checkpoint.json"  # in the folder that `resume` names: the digests of everything in it


def store(root: DictConfig) -> Store:
    """The store of this run."""
    return Store(Path(str(root.outputs)) / "artifacts")


def input_token(stage: Stage, key: str) -> str:
    """What stands for an input in an id: `artifact:ID`, `sha256:...` of local content, or `hub:NAME`.

    The same input gives the same token whether named by path, by artifact or by sibling.
    """
    if (other := sibling(stage.inputs[key])) is not None:
        return f"artifact:{stage_id(another(stage, other, key))[:ID_LENGTH]}"
    value = str(stage.node.inputs[key])
    if (artifact := store(stage.root).find(value)) is not None:
        return f"artifact:{artifact.id}"
    if Path(value).expanduser().exists():
        return str(digest_path(Path(value).expanduser()))
    return f"hub:{value}"


def input_tokens(stage: Stage) -> dict[str, str]:
    """Tokens of all inputs that are given."""
    return {key: input_token(stage, key) for key, value in stage.inputs.items() if value not in (None, "???")}


def content(data: Any) -> Iterator[tuple[str, Path]]:
    """(dotted key, path) of every local file or folder, and of files by `*`, that a resolved `data` part names."""
    if not isinstance(data, dict):
        return
    places = [(key, data.get(key)) for key in CONTENT] + list(_named(data.get("sources"), "sources"))
    for name, each in (data.get("filters") or {}).items():
        places += _named((each or {}).get("against"), f"filters.{name}.against")
    for key, value in places:
        if isinstance(value, str) and (Path(value).expanduser().exists() or glob.glob(value, recursive=True)):
            yield key, Path(value).expanduser()


def contents(stage: Stage) -> Iterator[tuple[str, Path]]:
    """The same of a stage's data and of the rows that its evaluators have of their own, by keys of the stage."""
    evaluators = stage.raw.get("evaluate") or {}
    own = {f"evaluate.{name}.rows": (evaluator or {}).get("rows") for name, evaluator in evaluators.items()}
    for part, written in {"data": stage.raw.get("data"), **own}.items():
        if isinstance(written, dict):
            places = content(stages.plain(OmegaConf.select(stage.node, part)))
            yield from ((f"{part}.{key}", path) for key, path in places)


def _named(sources: Any, key: str) -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of the places of named sources, each given by its path alone or among other settings."""
    for name, given in (sources or {}).items():
        if isinstance(given, dict):
            yield from ((f"{key}.{name}.{setting}", given.get(setting)) for setting in ("path", *CONTENT))
        else:
            yield f"{key}.{name}", given


def stage_id(stage: Stage) -> str:
    """The sha256 that names the stage's artifact.

    Raises:
        ConfigError: an input asks for the artifact of a stage that the recipe does not have.
    """
    digests = {key: digest_path(path) for key, path in contents(stage)}
    config = stage.resolved(input_tokens(stage), digests)
    seed = config.pop("seed")
    if (checkpoint := config.pop("resume", None)) is not None:
        config["from_checkpoint"] = digest_path(Path(checkpoint) / CHECKPOINT)
    return identify(config, seed=seed, versions=environment())


def another(stage: Stage, name: str, key: str) -> Stage:
    """The stage `name` of the same recipe, whose artifact the input `key` of `stage` asks for.

    Raises:
        ConfigError: there is none; the nearest is suggested.
    """
    if stages.is_stage(stage.root.get(name)):
        return Stage(stage.root, name)
    here = stage.dot("inputs", key)
    others = [f"${{artifact:{other}}}" for other in stages.present(stage.root)]
    remedy = choose(f"${{artifact:{name}}}", others) if others else f"{here}=FOLDER"
    raise ConfigError(here, f"it asks for the artifact of `{name}`, which is no stage of this recipe", remedy)


def artifact_folder(name: str, *, _root_: DictConfig) -> str:
    """Resolver of `${artifact:NAME}`: the folder where the sibling stage NAME's artifact is or will be.

    Raises:
        ConfigError: the recipe has no such stage.
    """
    stage = another(Stage(_root_), name, "")
    return str(store(_root_).folder(stage.title, stage_id(stage)))
