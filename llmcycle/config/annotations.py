"""Values of a recipe against what a parameter's annotation says: `peft.r=abc` is refused with what is needed instead.

What an annotation does not say is not refused; one that can't be resolved says nothing.
"""

from __future__ import annotations

import enum
import inspect
import math
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from . import nested, ranges
from .nested import is_node
from .signature import named

UNSAID: tuple[Any, ...] = (Any, object, inspect.Parameter.empty)
UNIONS = (Union, types.UnionType)
SIMPLE: dict[Any, tuple[str, Any]] = {  # in words, and an example
    int: ("a whole number", 1),
    float: ("a number", 0.1),
    bool: ("true or false", "true"),
    str: ("a text", "TEXT"),
    Path: ("a path", "PATH"),
    type(None): ("null", "null"),
}


@cache
def parameter_types(target: Callable[..., Any]) -> dict[str, Any]:
    """The annotation of each parameter that can be given by name, resolved as far as that can be done."""
    by_name, open_ended = named(target)
    of_bases = passed_on(target) if open_ended and isinstance(target, type) else {}
    of_class = class_hints(target) if isinstance(target, type) else {}
    space = namespace(target)
    hints: dict[str, Any] = {}
    for name, parameter in by_name.items():
        written = evaluated(parameter.annotation, space)
        if isinstance(written, str):
            written = of_class.get(name, inspect.Parameter.empty)
        # `x: int = None` is an old way to write `int | None`
        hints[name] = written | None if parameter.default is None and can_be_joined(written) else written
    return {**of_bases, **of_class, **hints, **ranges.stated(target)}


def passed_on(cls: type) -> dict[str, Any]:
    """What the nearest base of our own says of the arguments that a constructor hands on to it by `**`."""
    base = next((base for base in cls.__mro__[1:-1] if "__init__" in vars(base)), None)
    return parameter_types(base) if base is not None and base.__module__.startswith("llmcycle.") else {}


def can_be_joined(annotation: object) -> bool:
    """Whether `annotation | None` can be written."""
    return annotation not in UNSAID and not isinstance(annotation, str | TypeVar) and annotation is not None


def class_hints(cls: type) -> dict[str, Any]:
    """Annotations of a class's fields; each base's own where not all can be resolved."""
    try:
        return get_type_hints(cls, include_extras=True)
    except Exception:  # a name that its module imports for type checkers alone
        hints: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            space = vars(sys.modules.get(base.__module__, types))
            for name, written in vars(base).get("__annotations__", {}).items():
                hints[name] = evaluated(written, space)
        return {name: written for name, written in hints.items() if not isinstance(written, str)}


def namespace(target: Callable[..., Any]) -> dict[str, Any]:
    """The names that the annotations of a function, or of a class's constructor, are written in."""
    function = inspect.unwrap(getattr(target, "__init__") if isinstance(target, type) else target)  # noqa: B009
    return dict(getattr(getattr(function, "__func__", function), "__globals__", {}))


def evaluated(annotation: object, space: Mapping[str, Any]) -> Any:
    """An annotation that stands as a text, evaluated; the text itself where that can't be done."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, dict(space))  # the library's own source, imported by now
    except Exception:
        return annotation


def misfits(value: Any, annotation: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """(path, value, annotation) of what does not fit: the value itself, or the items of a container that do not."""
    if fits(value, annotation):
        return
    inner = [member for member in members(annotation) if is_container(member) and same_form(value, member)]
    if not inner:
        yield path, value, annotation
        return
    kind, arguments = get_origin(inner[0]), get_args(inner[0])
    if issubclass(kind, Mapping):
        for key, item in value.items():
            yield from misfits(item, arguments[1], f"{path}.{key}")
    elif is_fixed_tuple(inner[0]) and len(arguments) != len(value):
        yield path, value, annotation
    else:
        items = arguments if is_fixed_tuple(inner[0]) else (arguments[0],) * len(value)
        for place, (item, wanted) in enumerate(zip(value, items, strict=True)):
            yield from misfits(item, wanted, f"{path}[{place}]")


def members(annotation: object) -> tuple[Any, ...]:
    """What a union allows; the annotation itself where it is none."""
    if get_origin(annotation) in UNIONS:
        return tuple(each for argument in get_args(annotation) for each in members(argument))
    return (annotation,)


def is_container(annotation: object) -> bool:
    """Whether it is a list, a tuple or a mapping whose items it describes."""
    kind = get_origin(annotation)
    return isinstance(kind, type) and issubclass(kind, Iterable) and bool(get_args(annotation))


def is_fixed_tuple(annotation: object) -> bool:
    """Whether it describes a tuple item by item."""
    return get_origin(annotation) is tuple and get_args(annotation)[-1:] != (...,)


def same_form(value: Any, annotation: Any) -> bool:
    """Whether a value is a mapping, or a list, as this container is."""
    mapping = issubclass(get_origin(annotation), Mapping)
    return isinstance(value, dict) and not is_node(value) if mapping else isinstance(value, list | tuple)


def fits(value: Any, annotation: Any) -> bool:
    """Whether a plain value, or what a node builds, is what an annotation describes."""
    if annotation in UNSAID or isinstance(annotation, str | TypeVar):
        return True
    if annotation is None:
        return value is None
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        return fits(value, arguments[0]) and (not is_number(value) or ranges.inside(value, arguments[1:]))
    if kind in UNIONS:
        return any(fits(value, argument) for argument in arguments) or (value == {} and type(None) in arguments)
    if kind is Literal:
        return value in arguments and type(value) in [type(choice) for choice in arguments]
    if is_node(value):
        return nested.builds(value, annotation)
    if isinstance(kind, type) and kind is not type:
        return fits_container(value, kind, arguments)
    return fits_class(value, annotation) if isinstance(annotation, type) else True


def is_number(value: object) -> bool:
    """Whether it is a number and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def fits_container(value: object, kind: type, arguments: tuple[Any, ...]) -> bool:
    """A list or mapping against a generic annotation; strings are no lists of their characters."""
    if issubclass(kind, Mapping):
        return isinstance(value, dict) and all(fits(item, arguments[1]) for item in value.values())
    if not issubclass(kind, Iterable) or not isinstance(value, list | tuple):  # no plain value can be called
        return False
    if kind is tuple and arguments[-1:] != (...,):
        return len(value) == len(arguments) and all(map(fits, value, arguments))
    return all(fits(item, arguments[0]) for item in value)


def fits_class(value: Any, annotation: type) -> bool:
    """A plain value against a class."""
    if is_typeddict(annotation) or annotation in (dict, Mapping):
        return isinstance(value, dict)
    if annotation is int:
        return is_number(value) and isinstance(value, int)
    if annotation is float:
        return is_number(value) and not math.isnan(value)
    if issubclass(annotation, enum.Enum):
        texts = issubclass(annotation, str | int)  # a member of another kind is no equal of its value
        return texts and value in [each.value for each in annotation]
    if annotation.__module__ in ("pathlib", "os"):
        return isinstance(value, str)
    if annotation in (list, tuple, set, frozenset, Sequence, Iterable):
        return isinstance(value, list | tuple)
    return isinstance(value, annotation) if not nested.is_protocol(annotation) else nested.conforms(value, annotation)


def need(annotation: Any) -> str:
    """In words, what an annotation asks for."""
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        return f"{need(arguments[0])} {ranges.words(arguments[1:])}".strip()
    if kind in UNIONS:
        return " or ".join(dict.fromkeys(need(argument) for argument in arguments))
    if kind is Literal:
        return f"one of {', '.join(map(str, arguments))}" if len(arguments) > 1 else str(arguments[0])
    if annotation in SIMPLE:
        return SIMPLE[annotation][0]
    if kind is tuple and is_fixed_tuple(annotation):
        return f"a list of {len(arguments)}: {', '.join(map(need, arguments))}"
    if is_container(annotation) and not issubclass(kind, Mapping):
        return f"a list, each of it {need(arguments[0])}"
    base = kind if isinstance(kind, type) else annotation
    if isinstance(base, type) and issubclass(base, Mapping):
        return "a mapping"
    return nested.need(annotation)


def example(annotation: Any, default: Any) -> str:
    """A value to type: the parameter's default where that fits, else one of this annotation."""
    if isinstance(default, bool | int | float | str) and default not in (-1, "") and fits(default, annotation):
        return typed(default)
    member = next((member for member in members(annotation) if member not in (type(None), None)), annotation)
    kind, arguments = get_origin(member), get_args(member)
    if kind is Annotated:
        return typed(ranges.example(arguments[1:], whole=arguments[0] is int))
    if kind is Literal:
        return typed(arguments[0])
    if is_container(member) and not issubclass(kind, Mapping):
        items = arguments if is_fixed_tuple(member) else arguments[:1]
        return f"[{','.join(example(item, None) for item in items)}]"
    if isinstance(member, type) and issubclass(member, enum.Enum):
        return typed(next(iter(member)).value)
    return str(SIMPLE[member][1]) if member in SIMPLE else "null" if fits(None, annotation) else "VALUE"


def typed(value: object) -> str:
    """A value as it is typed on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)
