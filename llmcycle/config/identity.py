"""Ids: what a stage will be called in the store, known before it runs because everything that shapes it is hashed."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from llmcycle.artifact import Store, digest_path, environment, identify

from . import stages
from .errors import ConfigError, choose

ARTIFACT = "${artifact:"
ID_LENGTH = 12  # hex digits, as in the store
# Keys of the `data` part that name content outside the recipe; a local file there counts by its bytes, not its path.
CONTENT = ("train", "validation")
CHECKPOINT = "checkpoint.json"  # in the folder that `resume` names: the digests of everything in it


def store(root: DictConfig) -> Store:
    """The store of this run."""
    return Store(Path(str(root.outputs)) / "artifacts")


def sibling(value: Any) -> str | None:
    """NAME where `value` is exactly `${artifact:NAME}`."""
    if isinstance(value, str) and value.startswith(ARTIFACT) and value.endswith("}"):
        return value[len(ARTIFACT) : -1].strip()
    return None


def raw_inputs(root: DictConfig, name: str) -> dict[str, Any]:
    """The `inputs` of a stage as written."""
    found = stages.plain(stages.node(root, name).inputs, resolve=False)
    assert isinstance(found, dict)
    return found


def input_token(root: DictConfig, name: str, key: str, value: Any) -> str:
    """What stands for an input in an id: `artifact:ID`, `sha256:...` of local content, or `hub:NAME`.

    The same input gives the same token whether named by path, by artifact or by sibling.
    """
    if (other := sibling(value)) is not None:
        return f"artifact:{stage_id(root, other, asked_by=(name, key))[:ID_LENGTH]}"
    value = str(stages.node(root, name).inputs[key])
    if (artifact := store(root).find(value)) is not None:
        return f"artifact:{artifact.id}"
    if Path(value).expanduser().exists():
        return str(digest_path(Path(value).expanduser()))
    return f"hub:{value}"


def input_tokens(root: DictConfig, name: str) -> dict[str, str]:
    """Tokens of all inputs that are given."""
    given = {key: value for key, value in raw_inputs(root, name).items() if value not in (None, "???")}
    return {key: input_token(root, name, key, value) for key, value in given.items()}


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


def contents(where: DictConfig) -> Iterator[tuple[str, Path]]:
    """The same of a stage's data and of the rows that its evaluators have of their own, by keys of the stage."""
    raw = stages.raw(where)
    own = {f"evaluate.{name}.rows": (one or {}).get("rows") for name, one in (raw.get("evaluate") or {}).items()}
    for part, written in {"data": raw.get("data"), **own}.items():
        if isinstance(written, dict):
            found = content(stages.plain(OmegaConf.select(where, part)))
            yield from ((f"{part}.{key}", path) for key, path in found)


def _named(sources: Any, key: str) -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of the places of named sources, each given by its path alone or among other settings."""
    for name, given in (sources or {}).items():
        if isinstance(given, dict):
            yield from ((f"{key}.{name}.{setting}", given.get(setting)) for setting in ("path", *CONTENT))
        else:
            yield f"{key}.{name}", given


def resolved(
    root: DictConfig, name: str, inputs: dict[str, str], digests: dict[str, str] | None = None
) -> dict[str, Any]:
    """The stage's subtree, resolved after its inputs, and keys that name content, are replaced by what is given."""
    copy = root.copy()
    where = stages.node(copy, name)
    with open_dict(where):
        where.inputs = {**raw_inputs(root, name), **inputs}
        for key, digest in (digests or {}).items():
            OmegaConf.update(where, key, digest)
    parts = ((key, where[key]) for key in stages.raw(where))
    return {key: stages.plain(part) if OmegaConf.is_config(part) else part for key, part in parts}


def stage_id(root: DictConfig, name: str, asked_by: tuple[str, str] = ("", "")) -> str:
    """The sha256 that names the artifact of stage `name`.

    Raises:
        ConfigError: there is no such stage; `asked_by` (stage, input) is named and the nearest stage suggested.
    """
    if name and not stages.is_stage(root.get(name)):
        raise no_sibling(root, name, asked_by)
    digests = {key: digest_path(path) for key, path in contents(stages.node(root, name))}
    config = resolved(root, name, input_tokens(root, name), digests)
    seed = config.pop("seed")
    if (checkpoint := config.pop("resume", None)) is not None:
        config["from_checkpoint"] = digest_path(Path(checkpoint) / CHECKPOINT)
    return identify(config, seed=seed, versions=environment())


def no_sibling(root: DictConfig, name: str, asked_by: tuple[str, str]) -> ConfigError:
    """An input asks for the artifact of a stage that the recipe does not have."""
    here = ".".join(part for part in (asked_by[0], "inputs", asked_by[1]) if part)
    others = [f"${{artifact:{key!s}}}" for key in root if stages.is_stage(root[key])]
    remedy = choose(f"${{artifact:{name}}}", others) if others else f"{here}=FOLDER"
    return ConfigError(here, f"it asks for the artifact of `{name}`, which is no stage of this recipe", remedy)


def artifact_folder(name: str, *, _root_: DictConfig) -> str:
    """Resolver of `${artifact:NAME}`: the folder where the sibling stage NAME's artifact is or will be."""
    identity = stage_id(_root_, name)
    return str(store(_root_).folder(str(stages.node(_root_, name).name), identity))
