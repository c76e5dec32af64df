"""What must be true of a recipe's keys before anything is looked up: stages are there, and parts are mappings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from . import facts, identity, plain_tree, stages
from .errors import ConfigError, nearest
from .near import overrides, swaps
from .paths import groups
from .stages import Stage, sibling
from .unread import check_unread, stage_items

MOST = 100  # characters of a name
FILE_NAME = re.compile(rf"\w[\w.+-]{{0,{MOST - 1}}}")
SEEDS = 2**32
SEED = f"a whole number from 0 to {SEEDS - 1} is needed"
OUTPUTS = "outputs"  # where they are if nobody says otherwise


def check_run_wide(root: DictConfig) -> list[ConfigError]:
    """What belongs to the whole run: where it is kept, and its seed."""
    outputs = str(root.get("outputs") or "").strip()
    if not outputs:
        return [ConfigError("outputs", "it is empty, and runs and artifacts need a folder", f"outputs={OUTPUTS}")]
    if reason := unwritable(Path(outputs)):
        return [ConfigError("outputs", reason, f"outputs={writable(outputs)}")]
    if not is_seed(root.get("seed")):
        return [ConfigError("seed", f"{SEED}, found {root.get('seed')!r}", "seed=0")]
    return []


def unwritable(outputs: Path) -> str:
    """Why nothing can be written to a store; "" where something can. Hydra would say less, and only when it runs."""
    above = next(folder for folder in (outputs, *outputs.absolute().parents) if folder.exists())
    if not above.is_dir():
        return f"{above} is a file, and runs and artifacts need a folder"
    return "" if os.access(above, os.W_OK | os.X_OK) else f"{above} can't be written"


def writable(outputs: str) -> str:
    """A folder that a store may lie in: the usual one, one beside the file that was named, or one at home."""
    places = (OUTPUTS, f"{outputs}-outputs", str(Path.home() / OUTPUTS))
    return next((place for place in places if not unwritable(Path(place))), "FOLDER, where you may write")


def check_structure(root: DictConfig) -> list[ConfigError]:
    """The lifecycle's list, the keys of the root and of every stage, and the kinds of their values."""
    lifecycle = root.get("lifecycle")
    if isinstance(lifecycle, str):
        return [ConfigError("lifecycle", f"a list of stages is needed, found {lifecycle}", f"lifecycle=[{lifecycle}]")]
    tree = plain_tree.plain(root, resolve=False)
    errors = list(check_names(root)) or [*check_texts(root, tree), *check_unread(root, tree)]
    return errors or [error for stage in stages.of(root) for error in check_settings(stage)]


def check_facts(stage: Stage) -> Iterator[ConfigError]:
    """The reserved key of a part holds facts of a method and nothing else."""
    for part, value in stage.raw.items():
        if isinstance(value, dict) and facts.KEY in value:
            yield from facts.faults(value, stage.dot(part))


def check_names(root: DictConfig) -> Iterator[ConfigError]:
    """Every entry of the lifecycle is a stage and stands there once; a stage that was added is among them."""
    listed, present = stages.names(root), stages.present(root)
    if root.get("lifecycle") is not None and not root.lifecycle and present:
        yield ConfigError("lifecycle", "it names no stage to run", in_order(present))
    for name in dict.fromkeys(listed):
        if name and isinstance(name, str) and isinstance(root.get(name), str):
            reason = f"it is a whole stage, and `{root[name]}` cannot stand for it: stages are swapped by group"
            yield ConfigError(name, reason, f"recipes@{name}={root[name]}")
        elif name and name not in present:
            yield ConfigError("lifecycle", f"`{name}` is no stage of this recipe", without_stage(root, name))
        elif listed.count(name) > 1:
            yield ConfigError("lifecycle", f"`{name}` stands there {listed.count(name)} times", in_order(listed))
    for name in present if root.get("lifecycle") else ():
        if name not in listed and any(override.startswith(f"+recipes@{name}=") for override in overrides(root)):
            yield ConfigError(name, "no entry of lifecycle names it, and it would not run", in_order([*listed, name]))


def without_stage(root: DictConfig, name: object) -> str:
    """What to type in place of a name that is no stage."""
    present = stages.present(root)
    listed = [entry for entry in stages.names(root) if entry in present]
    rest = in_order(listed or present) if present else "lifecycle=null"
    if (taken := f"~recipes@{name}") in overrides(root):
        return f"{rest} in the place of {taken}"
    return (isinstance(name, str) and nearest(name, present)) or rest


def in_order(names: list[str]) -> str:
    """How a lifecycle of these stages is typed."""
    return f"lifecycle=[{','.join(dict.fromkeys(names))}]"


def check_texts(root: DictConfig, tree: dict[str, Any]) -> Iterator[ConfigError]:
    """No option's name stands as a text where the option itself should: `finetune.peft=dora`."""
    places: dict[str, str] = {}
    for swap in swaps(root):
        group, _, package = swap.partition("@")
        places[package or group] = swap
    for stage in stages.of(root):
        known = groups() if any(is_text(value) for key, value in stage_items(tree, stage)) else {}
        places |= {stage.dot(key): stage.swap(key) for key, _ in stage_items(tree, stage) if key in known}
    for place, swap in places.items():
        value = plain_tree.at(tree, tuple(place.split(".")))
        if is_text(value):
            typed = any(override.partition("=")[0].lstrip("+") == place for override in overrides(root))
            reason = f"it is a mapping, and `{value}` cannot stand for it: options are swapped by group"
            is_option = str(value) in groups().get(swap.partition("@")[0], ())
            if typed or is_option:
                remedy = f"{swap}={value}{'' if typed else ', and take the text out of the file'}"
            else:
                remedy = f"{place.rpartition('.')[2]}: {{NAME: VALUE}}"
            yield ConfigError(place, reason, remedy)


def is_text(value: object) -> bool:
    """Whether a value is neither absent, nor a mapping, nor a reference to one."""
    return value is not None and not isinstance(value, dict) and not str(value).startswith(("${", "???"))


def check_settings(stage: Stage) -> Iterator[ConfigError]:
    """The settings of a stage that are no parts are of the right kind."""
    seed, inputs, name = stage.node.get("seed"), stage.node.get("inputs"), stage.written.get("name")
    if not is_seed(seed):
        yield ConfigError(stage.dot("seed"), f"{SEED}, found {seed!r}", f"{stage.dot('seed')}=0")
    if not isinstance(inputs, DictConfig):
        key = stage.dot("inputs")
        yield ConfigError(key, f"inputs are given by their names, found {inputs!r}", f"{key}.model={inputs}")
    if name in (None, "???"):
        key = stage.dot("name")
        yield ConfigError(key, "the recipe gives its stage no name", f"{key}={own_name(stage)}")
    elif not FILE_NAME.fullmatch(stage.title):
        reason = f"{stage.title!r} can't be the name of a folder: letters, digits and . _ + - are possible, 100 of them"
        yield ConfigError(stage.dot("name"), reason, f"{stage.dot('name')}={plain_name(stage.title)}")


def own_name(stage: Stage) -> str:
    """What a stage without a name may be called: as its place in a lifecycle, or as its recipe."""
    return stage.name or plain_name(str(stage.root.hydra.job.config_name).rpartition("/")[2])


def plain_name(text: str) -> str:
    """A text with all that no name of a folder may have made into dashes."""
    return re.sub(r"[^\w.+-]+", "-", text)[:MOST].strip("-.") or "NAME"


def is_seed(value: object) -> bool:
    """Whether a value is a whole number, which `true` is not, of those that NumPy takes."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < SEEDS


def check_resume(stage: Stage) -> Iterator[ConfigError]:
    """`resume` is a word that it knows or the folder of a checkpoint."""
    value = str(stage.node.get("resume", stages.RESUME[0]))
    if value not in stages.RESUME and not (Path(value) / identity.CHECKPOINT).is_file():
        key = stage.dot("resume")
        yield ConfigError(
            key, f"{value} is no folder with a checkpoint in it", f"{key}=auto, {key}=never or {key}=FOLDER"
        )


def check_given(stage: Stage) -> Iterator[ConfigError]:
    """Every input that is read has a value, and the stage that it asks for exists."""
    for key in stage.unset:
        if ("inputs", key) in stage.reads:
            here = stage.dot("inputs", key)
            yield ConfigError(here, "it is missing", f"{here}=FOLDER, an artifact's id or a Hub name")
    for key, value in stage.inputs.items():
        other = sibling(value)
        if ("inputs", key) in stage.reads and other is not None:
            try:
                identity.another(stage, other, key)
            except ConfigError as error:
                yield error
