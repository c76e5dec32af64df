"""Inputs that are to be models, and lie on this disk: a folder with a model in it, and no file or anything else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmcycle.abilities import CLASSIFIER

from . import identity, models, plain_tree
from .allow import resolve
from .errors import ConfigError, nearest
from .nested import is_node
from .parts import stated
from .plain_tree import references
from .stages import Stage, sibling

# One of them is in every folder with a model, or with its tokenizer, which is all that `llmcycle data` needs.
MARKS = ("config.json", "adapter_config.json", models.BASE_FILE, "tokenizer_config.json")
OTHERS = ("data", "tokenizer")  # parts that read rows, or no more than a tokenizer
REWARD = "reward"  # the input that is to score texts
ROOMS = ("llmcycle.", "transformers.")


def check_sources(stage: Stage) -> Iterator[ConfigError]:
    """What a part of ours reads as a model is one, as far as its folder shows it."""
    for key, written in stage.inputs.items():
        place = None if sibling(written) else models.folder(stage, identity.location(stage, key))
        if place is not None and place.exists() and is_model(stage, key) and not holds_model(place):
            here, near = stage.dot("inputs", key), folders(stage, key)
            what = "holds no model (no config.json, no adapter_config.json in it)" if place.is_dir() else "is a file"
            value = nearest(place.name, near) or next(iter(near), "FOLDER, an artifact's id or a Hub name")
            yield ConfigError(here, f"{written} {what}, and the folder of a model is needed", f"{here}={value}")


def is_model(stage: Stage, key: str) -> bool:
    """Whether one of our parts, or of transformers', reads an input as a model."""
    parts = [stage.raw[part] for part in stage.readers("inputs", key) if part not in OTHERS and part in stage.raw]
    nodes = [node for part in parts for _, node in plain_tree.targets(part, "") if is_node(node)]
    reading = [node for node in nodes if any(path[-1:] == (key,) for path in references(own(node), ("a", "b", "c")))]
    ours = [node for node in reading if str(node["_target_"]).startswith(ROOMS)]
    return not all(
        stated(node, "names_models") or hasattr(resolve(node["_target_"], key), "rows_have") for node in ours
    )


def own(value: Any) -> Any:
    """A node's settings without the nodes in it, which read for themselves."""
    if isinstance(value, dict):
        return {name: own(each) for name, each in value.items() if not is_node(each)}
    return [own(each) for each in value if not is_node(each)] if isinstance(value, list) else value


def holds_model(place: Path) -> bool:
    """Whether a folder holds a model, or what leads to one."""
    return any((place / name).is_file() for name in MARKS)


def folders(stage: Stage, key: str) -> list[str]:
    """Folders with a model in them: language models, or for a reward those that score, before others."""
    made = [artifact.folder for artifact in identity.store(stage.root).artifacts()]
    here = sorted(path for path in Path().iterdir() if path.is_dir())
    names = {path: path.name if path in made else str(path) for path in (*made, *here) if holds_model(path)}
    scores = {path: models.folder_kind(path) == CLASSIFIER for path in names}
    return [names[path] for path in sorted(names, key=lambda path: scores[path] != (key == REWARD))]
