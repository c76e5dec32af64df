"""Every value and every nested target of a stage, against the annotation of the parameter that receives it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

from . import nested, plain_tree
from .allow import check_lookup, lookups, resolve
from .annotations import SIMPLE, example, fits, members, misfits, need, parameter_types
from .errors import ConfigError, nearest
from .options import Swaps
from .signature import CONTROL, label, named
from .stages import Stage

# The whole of a value that stands elsewhere in the stage, be it there in any case or only perhaps.
REFERENCE = re.compile(r"\$\{(?:oc\.select:\s*)?(\.+)([\w.\[\]]+)(?:,[^{}]*)?\}")
INPUT = re.compile(r"\$\{input:\s*(\w+)\s*\}")  # the whole of a value that is one of the stage's inputs

FILES = ("train", "validation")  # arguments of rows, which are read from files


class Misfit(NamedTuple):
    """A value that is not what `target` needs for `argument`; `place` is where it is written."""

    place: str
    value: Any
    annotation: Any
    target: Callable[..., Any]
    argument: str
    parent: str  # where the target itself stands


def check_values(stage: Stage) -> Iterator[ConfigError]:
    """What does not fit, each place once."""
    seen: set[str] = set()
    for misfit in every_misfit(stage):
        if misfit.place not in seen:
            seen.add(misfit.place)
            yield as_error(stage, misfit)


def every_misfit(stage: Stage) -> Iterator[Misfit]:
    """What does not fit in all nodes that are written in this stage."""
    parts = {part: stage.settled.get(part) for part in stage.parts}
    for path, node in plain_tree.targets(parts, ""):
        if seen_elsewhere(stage.raw, path):
            continue
        target = resolve(node["_target_"], "")
        if target in lookups():
            continue
        of = parameter_types(target)
        for argument, value in node.items():
            if argument in CONTROL or argument not in of or value == "???":  # that it is missing is told by check_reads
                continue
            for place, item, wanted in misfits(value, of[argument], f"{path}.{argument}"):
                yield Misfit(origin(stage.raw, place), item, wanted, target, argument, path)


def as_error(stage: Stage, misfit: Misfit) -> ConfigError:
    """The reason and the remedy of a misfit."""
    place, value, annotation, target, argument, _ = misfit
    key = stage.dot(place)
    reason = f"{label(target)} needs {need(annotation)} as `{argument}`, and this is {nested.what(value)}"
    if (nested.is_node(value) or built(annotation)) and (remedy := by_path(stage, misfit)):
        return ConfigError(key, reason, remedy)
    if (nested.is_node(value) or built(annotation)) and (remedy := other_options(stage, misfit)):
        return ConfigError(key, reason, remedy)
    parameter = named(target)[0].get(argument)
    default = parameter.default if parameter else inspect.Parameter.empty
    return ConfigError(
        key, reason, whole(stage, place, named_nearly(value, annotation) or example(annotation, default))
    )


def named_nearly(value: object, annotation: object) -> str:
    """Of the words that an annotation allows the one that a mistyped one may have meant; "" where none is near."""
    words = [str(word) for kind in members(annotation) if get_origin(kind) is Literal for word in get_args(kind)]
    return (nearest(value, words, cutoff=50) or "") if isinstance(value, str) else ""


def by_path(stage: Stage, misfit: Misfit) -> str:
    """What to type for an object that is looked up by its dotted name, as a dtype is; "" where none is."""
    place, value, annotation = misfit[:3]
    own = chosen_at(stage, place)
    if not any(is_lookup(node) for node in (value, own)):
        return ""
    names = (value, own.get("path") if is_lookup(own) else None, *members_of(annotation))
    fit = next((name for name in names if isinstance(name, str) and leads_to(name, annotation)), "")
    return f"{stage.dot(place)}.path={fit}" if fit else ""


def chosen_at(stage: Stage, place: str) -> Any:
    """What the option that the user has chosen writes at a place."""
    swaps = Swaps(stage)
    return at(swaps.chosen(place), steps(place.removeprefix(swaps.at(place))))


def is_lookup(node: object) -> bool:
    """Whether a node looks an object up by its dotted name."""
    return nested.is_node(node) and resolve(node["_target_"], "") in lookups()  # type: ignore[index]


def members_of(annotation: object) -> list[str]:
    """Dotted names of what an annotation describes: the members of an enumeration, and the usual dtype."""
    kinds = [kind for kind in members(annotation) if isinstance(kind, type)]
    enums = [kind for kind in kinds if issubclass(kind, Enum)]
    return [*(f"{kind.__module__}.{kind.__qualname__}.{each.name}" for kind in enums for each in kind), "torch.float32"]


def leads_to(name: str, annotation: object) -> bool:
    """Whether a recipe may look a name up, and finds what an annotation describes."""
    try:
        check_lookup(name, "")
        return nested.is_value(resolve(name, ""), annotation)
    except ConfigError:
        return False


def whole(stage: Stage, place: str, value: str) -> str:
    """What is typed to set a place: an item of a list can't be, so it is the list with that item."""
    above, bracket, rest = place.partition("[")
    items = at(stage.raw, steps(above)) if bracket else None
    if not isinstance(items, list) or not rest.rstrip("]").isdigit():
        return f"{stage.dot(place)}={value}"
    typed = [value if number == int(rest[:-1]) else str(item) for number, item in enumerate(items)]
    return f"{stage.dot(above)}=[{','.join(typed)}]"


def wanted(stage: Stage, place: str) -> str:
    """What to type for a place that has no value: what its receiver's annotation asks for."""
    parent, _, argument = place.rpartition(".")
    key, own = stage.dot(place), Swaps(stage).chosen(parent).get(argument)
    node = at(stage.raw, steps(parent))
    if isinstance(own, str) and own.startswith("${") and at(stage.written, steps(place)) != own:
        return f"'++{key}={own}'"
    sign = "" if isinstance(node, dict) and argument in node else "+"
    of = parameter_types(resolve(node["_target_"], "")) if nested.is_node(node) else {}
    annotation = of.get(argument, inspect.Parameter.empty)
    if any(issubclass(get_origin(kind) or object, Mapping) for kind in members(annotation)):
        return f"+{key}.NAME=FILE"
    if Path in members(annotation) or argument in FILES:
        return f"{sign}{key}={'FILE' if argument in FILES else 'FOLDER'}"
    if "inputs" in steps(place):
        return f"{key}=FOLDER, an artifact's id or a Hub name"
    value = example(annotation, inspect.Parameter.empty)
    return f"{sign}{key}={value}"


def built(annotation: object) -> bool:
    """Whether an annotation asks for something that is built, which no plain value can be."""
    kinds = [get_origin(kind) or kind for kind in members(annotation)]
    return all(isinstance(kind, type) and kind not in SIMPLE and not issubclass(kind, (list, tuple)) for kind in kinds)


def other_options(stage: Stage, misfit: Misfit) -> str:
    """Options that fit: in the place of the value or, where the user has swapped only its receiver, of that."""
    place, value, annotation, _, argument, parent = misfit

    def is_fit(node: dict[str, Any]) -> bool:
        named = bool(node) and "_target_" not in node and fits(node, annotation)  # parts by name, such as templates
        return named or any(nested.is_node(part) and fits(part, annotation) for part in (node, *by_name(node)))

    def takes(node: dict[str, Any]) -> bool:
        inner = [part for part in (node, *by_name(node)) if nested.is_node(part)]
        asking = [wanted_of(part, argument) for part in inner if argument in part]
        return bool(inner) and all(fits(value, wanted) for wanted in asking)

    swaps = Swaps(stage)
    child, receiver = swaps.at(place), swaps.at(parent)
    own, other = swaps.remedy(place, is_fit), swaps.remedy(parent, takes) if receiver != child else ""
    only_receiver = swaps.was_typed(receiver) and not swaps.was_typed(child)
    # What is left out can be added; another receiver may be one that the model can't serve.
    first = (other, own) if only_receiver and value is not None else (own, other)
    return next((remedy for remedy in first if remedy), "")


def wanted_of(part: dict[str, Any], argument: str) -> object:
    """What a part's class says of an argument."""
    return parameter_types(resolve(part["_target_"], "")).get(argument, inspect.Parameter.empty)


def by_name(node: dict[str, Any]) -> list[Any]:
    """The parts of an option that holds some by name, such as evaluators."""
    return [part for part in node.values() if isinstance(part, dict)] if "_target_" not in node else []


def steps(place: str) -> list[str]:
    """A dotted place as keys and indices."""
    return re.findall(r"[^.\[\]]+", place)


def at(raw: object, keys: list[str]) -> Any:
    """What is written at a place; None where nothing is, as below a reference."""
    for key in keys:
        if isinstance(raw, dict):
            raw = raw.get(key)
        elif isinstance(raw, list) and key.isdigit() and int(key) < len(raw):
            raw = raw[int(key)]
        else:
            return None
    return raw


def seen_elsewhere(raw: dict[str, Any], place: str) -> bool:
    """Whether a place lies in what is only referred to, and so is written, and checked, in another one."""
    return origin(raw, place) != place


def origin(raw: dict[str, Any], place: str) -> str:
    """Where the value at a place is written: `loss` for `module.loss`, which says `${..loss}`."""
    keys = steps(place)
    for count in range(1, len(keys) + 1):
        written = at(raw, keys[:count])
        if isinstance(written, str) and (named := INPUT.fullmatch(written)):
            return f"inputs.{named[1]}"
        reference = REFERENCE.fullmatch(written) if isinstance(written, str) else None
        if reference:
            above = keys[:count][: -len(reference[1])]
            rest = "".join(f"[{key}]" if key.isdigit() else f".{key}" for key in keys[count:])
            return origin(raw, ".".join([*above, reference[2]]) + rest)
    return place
