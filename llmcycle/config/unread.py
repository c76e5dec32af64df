"""Keys and inputs of a recipe that nothing reads, and what to type in their place."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from omegaconf import DictConfig

from . import plain_tree, stages
from .errors import ConfigError, nearest
from .near import by_ending, dotted, elsewhere, overrides, swaps
from .options import Swaps
from .paths import groups
from .schema import SETTINGS
from .stages import Stage
from .values import wanted

RUN_WIDE = ("seed", "outputs", "lifecycle", "search")


def check_unread(root: DictConfig, tree: dict[str, Any]) -> Iterator[ConfigError]:
    """No key stands at the root or right under a stage that no reference leads to."""
    within = stages.present(root) if root.get("lifecycle") else []
    places: list[plain_tree.Path] = [(name,) for name in within] if within else [()]
    starts = [(*place, part) for place in places for part in ("stage", "logger")]
    reads = plain_tree.reached(tree, [("hydra",), *starts], within)
    read = {path[:depth] for path in (*reads, *starts) for depth in (1, 2)}
    for key, value in tree.items() if within else ():
        if value is not None and (key,) not in read and key not in ("hydra", *RUN_WIDE, *within):
            yield unread(root, None, str(key))
    for stage in stages.of(root):
        place = (stage.name,) if stage.name else ()
        unknown = [key for key, value in stage_items(tree, stage) if value and (*place, key) not in read]
        if stage.node.get("stage"):
            yield from (unread(root, stage, key) for key in unknown)
        else:
            near = nearest("stage", unknown)
            reason = "nothing reads this key" if near else "the recipe names no stage to run"
            yield ConfigError(
                stage.dot(near or "stage"), reason, stage.dot("stage") if near else "defaults: [/stage: fit]"
            )


def unread(root: DictConfig, stage: Stage | None, key: str) -> ConfigError:
    """A key of a stage, or of the root of a lifecycle, that nothing reads."""
    if stage is None:
        known, full = [*RUN_WIDE, *stages.present(root)], key
    else:
        known, full = [*SETTINGS, "stage", "logger", *(path[0] for path in stage.reads)], stage.dot(key)
        if key in groups() and (over := typed_over(stage, key)):
            return over
        if key in groups():
            reason = f"nothing in this recipe reads it: `{stage.written.get('name')}` has no use for {key}"
            added = f"+{stage.swap(key)}" in (override.partition("=")[0] for override in overrides(root))
            remedy = "" if added else reader(stage, key)  # what the recipe has by itself is to be read
            return ConfigError(full, reason, remedy or leave_out(root, stage.swap(key)))
    typed = next((each for each in overrides(root) if each.lstrip("+").startswith(f"{full}=")), "")
    value = "".join(typed.partition("=")[1:])  # a key of a file is renamed there
    near = nearest(key, known)
    if near is not None:
        return ConfigError(full, "nothing reads this key", (stage.dot(near) if stage else near) + value)
    others = [path for path in dotted(plain_tree.plain(root, resolve=False)) if path != full]
    inside = [path for path in others if stage is None or not stage.name or path.startswith(f"{stage.name}.")]
    remedies = by_ending(full, inside) or elsewhere(full, inside)
    return ConfigError(full, "nothing reads this key", f"{remedies[0]}{value}" if remedies else "leave it out")


def typed_over(stage: Stage, part: str) -> ConfigError | None:
    """The value that was typed where another part refers to this one: `module.model=3`."""
    own, typed = Swaps(stage), dict(override.partition("=")[::2] for override in overrides(stage.root))
    for place in own.groups:
        for argument, written in own.chosen(place).items():
            key = stage.dot(place, argument)
            if written == f"${{..{part}}}" and key in typed:
                now = stage.root.hydra.runtime.choices.get(stage.swap(part))
                reason = f"it is the recipe's `{part}`, and {typed[key]} cannot stand for it"
                return ConfigError(key, f"{reason}: options are swapped by group", f"{stage.swap(part)}={now}")
            if written == f"${{..{part}}}" and f"~{key}" in typed:
                reason = f"the recipe's `{part}` is read there, and nothing else would read it"
                return ConfigError(f"~{key}", reason, f"'{key}={written}'")
    return None


def reader(stage: Stage, part: str) -> str:
    """What to type for an option that reads a part, where one that the user has chosen does not; "" without any."""
    own, there = Swaps(stage), {key for key in stage.written if stage.written[key] and key in groups()}

    def reads(wanted: set[str], place: str, option: dict[str, Any]) -> bool:
        paths = plain_tree.reached({**stage.written, place: option}, [("stage",), ("logger",)])
        return wanted <= {place, "stage", "logger", *(path[0] for path in paths)}

    typed = [place for place in own.groups if own.was_typed(place) and place != part]
    remedies = (own.remedy(place, partial(reads, wanted, place)) for wanted in (there, {part}) for place in typed)
    return next((remedy for remedy in remedies if remedy), "")


def leave_out(root: DictConfig, swap: str) -> str:
    """How a part is taken out: an option that the recipe composes is struck from its defaults."""
    typed = any(override.startswith(f"+{swap}=") for override in overrides(root))
    return f"~{swap}, which leaves it out" if swap in swaps(root) and not typed else "leave it out"


def stage_items(tree: dict[str, Any], stage: Stage) -> list[tuple[str, Any]]:
    """The keys and values of a stage in the plain root that may be parts."""
    items = (plain_tree.at(tree, (stage.name,) if stage.name else ()) or {}).items()
    own = (*SETTINGS, "hydra", *(() if stage.name else RUN_WIDE))
    return [(str(key), value) for key, value in items if key not in own]


def check_reads(stage: Stage) -> Iterator[ConfigError]:
    """No input is given that nothing reads, and nothing is missing. One without a value waits for a part to read it."""
    for key, value in stage.inputs.items():
        if ("inputs", key) not in stage.reads:
            used = sorted(path[1] for path in stage.reads if path[0] == "inputs" and len(path) > 1)
            here, other = stage.dot("inputs", key), nearest(key, used)
            remedy = f"{stage.dot('inputs', other)}={value}" if other else f"~{here}"
            yield ConfigError(here, "nothing in this recipe reads this input", remedy)
    for path, value in plain_tree.strings(stage.parts):
        if value == "???":
            yield ConfigError(stage.dot(path), "it is missing", wanted(stage, path))
