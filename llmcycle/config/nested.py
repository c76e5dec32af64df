"""What a nested `_target_` builds, against the annotation of the parameter that receives it.

Classes are compared by name, Protocols by structure: the methods there are, and the argument names of `__call__`.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .allow import lookups, qualified, resolve
from .signature import CONTROL, named

# What loaders give back that do not say it.
RETURNS = {
    "transformers.models.auto.tokenization_auto.": "transformers.PreTrainedTokenizerBase",
    "transformers.models.auto.configuration_auto.": "transformers.PreTrainedConfig",
    "transformers.models.auto.auto_factory.": "transformers.PreTrainedModel",
}


def is_node(value: object) -> bool:
    """Whether a value of a recipe is something to be built."""
    return isinstance(value, Mapping) and isinstance(value.get("_target_"), str)


def builds(node: Mapping[str, Any], annotation: object) -> bool:
    """Whether what a node builds is, as far as is known, what a class, a Protocol or a `Callable` asks for."""
    target = resolve(node["_target_"], "")
    if target in lookups():
        path = node.get("path")
        return not isinstance(path, str) or path == "???" or is_value(resolve(path, ""), annotation)
    if node.get("_partial_"):
        return is_factory(target, node, annotation)
    return any(is_instance(kind, annotation, target) for kind in kinds(target))


def kinds(target: Callable[..., Any]) -> list[Any]:
    """Classes of what calling a target gives; [None] where nothing is known."""
    if isinstance(target, type):
        return [target]
    for prefix, name in RETURNS.items():
        if qualified(target).startswith(prefix):
            return [resolve(name, name)]
    try:
        result = get_type_hints(inspect.unwrap(target)).get("return")
    except Exception:  # a name that its module imports for type checkers alone
        return [None]
    each = get_args(result) if get_origin(result) in (Union, types.UnionType) else (result,)
    plain = [get_origin(kind) or kind for kind in each]
    return [kind if isinstance(kind, type) and kind is not object else None for kind in plain]


def is_instance(cls: type | None, annotation: object, target: object) -> bool:
    """Whether an instance of `cls` may stand for `annotation`."""
    wanted = get_origin(annotation) or annotation
    if cls is None or not isinstance(wanted, type):
        return True
    if wanted.__name__ == "Callable":
        return callable(getattr(cls, "__call__", None)) and "__call__" in dir(cls)  # noqa: B004  of its instances
    if is_protocol(wanted):
        return conforms_class(cls, wanted)
    # A function may promise less than it gives.
    return issubclass(cls, wanted) or (cls is not target and issubclass(wanted, cls))


def is_value(value: object, annotation: object) -> bool:
    """Whether an object that is looked up by name may stand for an annotation."""
    wanted = get_origin(annotation) or annotation
    if not isinstance(wanted, type) or wanted is type:
        return True
    if wanted.__name__ == "Callable":
        return callable(value)
    return conforms(value, wanted) if is_protocol(wanted) else isinstance(value, wanted)


def is_factory(target: Callable[..., Any], node: Mapping[str, Any], annotation: object) -> bool:
    """Whether a target that is to be called later may stand for an annotation."""
    wanted = get_origin(annotation) or annotation
    if not isinstance(wanted, type):
        return True
    if wanted.__name__ == "Callable":
        result = (get_args(annotation) or (None, Any))[1]
        if result is Any or isinstance(result, TypeVar):
            return True
        return any(is_instance(kind, result, target) for kind in kinds(target))
    settings = {name for name in node if name not in CONTROL}
    return is_protocol(wanted) and set(methods(wanted)) <= {"__call__"} and takes(target, wanted, settings)


def is_protocol(cls: object) -> bool:
    """Whether a class says only which methods there are."""
    return bool(getattr(cls, "_is_protocol", False))


def methods(protocol: type) -> dict[str, Any]:
    """What a Protocol asks for: its methods and properties by name."""
    bases = [base for base in reversed(protocol.__mro__) if is_protocol(base)]
    return {
        name: value
        for base in bases
        for name, value in vars(base).items()
        if (name == "__call__" or not name.startswith("_"))
        and (inspect.isroutine(value) or isinstance(value, property))
    }


def conforms_class(cls: type, protocol: type) -> bool:
    """Whether instances of a class have what a Protocol asks for."""
    there = {*dir(cls), *stored(cls)}
    wanted = methods(protocol)
    if not set(wanted) <= there:
        return False
    if any(
        isinstance(value, property) and inspect.isfunction(getattr(cls, name, None)) for name, value in wanted.items()
    ):
        return False  # rows have `train`, and a model has it too: as a method
    return "__call__" not in wanted or takes(getattr(cls, "__call__"), protocol, {"self"})  # noqa: B004, B009


def conforms(value: Any, protocol: type) -> bool:
    """Whether an object has what a Protocol asks for."""
    wanted = methods(protocol)
    if not all(hasattr(value, name) for name in wanted):
        return False
    return "__call__" not in wanted or takes(value, protocol, set())


def stored(cls: type) -> Iterator[str]:
    """Names that constructors use as attributes, and annotations: what an instance may have and its class lacks."""
    for base in cls.__mro__:
        yield from getattr(getattr(vars(base).get("__init__"), "__code__", None), "co_names", ())
        yield from vars(base).get("__annotations__", {})


def takes(function: Callable[..., Any], protocol: type, settings: set[str]) -> bool:
    """Whether a function may be called as a Protocol's `__call__` is: by its argument names where it has several."""
    wanted = [p for p in arguments_of(protocol) if p.kind is not p.VAR_KEYWORD]
    try:
        by_name, open_ended = named(function)
    except (TypeError, ValueError):  # written in C, without a signature
        return True
    own = {name: parameter for name, parameter in by_name.items() if name not in settings}
    required = {name for name, parameter in own.items() if parameter.default is parameter.empty}
    if len(wanted) == 1:  # passed by place
        return len(required) <= 1
    names = {parameter.name for parameter in wanted}
    return required <= names and (open_ended or names <= set(own))


def arguments_of(protocol: type) -> list[inspect.Parameter]:
    """What a Protocol's `__call__` is called with."""
    return list(inspect.signature(methods(protocol)["__call__"]).parameters.values())[1:]


def need(annotation: object) -> str:
    """In words, what has to be built."""
    wanted = get_origin(annotation) or annotation
    if not isinstance(wanted, type):
        return str(annotation)
    if wanted.__name__ == "Callable":
        result = (get_args(annotation) or (None, None))[1]
        name = getattr(result, "__name__", "")
        return f"something to call{f' that makes a {name}' if name else ''} (with `_partial_: true` for a class)"
    if is_protocol(wanted) and "__call__" in methods(wanted):
        names = [p.name for p in arguments_of(wanted) if p.kind is not p.VAR_KEYWORD]
        return f"{article(wanted)}, which is called with {', '.join(names)}"
    if is_protocol(wanted):
        return f"{article(wanted)}, which has {', '.join(methods(wanted))}"
    return article(wanted)


def article(cls: type) -> str:
    """A class's name after "a" or "an"."""
    return f"{'an' if cls.__name__[0] in 'AEIO' else 'a'} {cls.__name__}"


def what(value: Any) -> str:
    """In words, what a node builds."""
    if not is_node(value):
        return repr(value)
    name = str(value["path"] if resolve(value["_target_"], "") in lookups() else value["_target_"])
    return f"{name.rpartition('.')[2]}{' to be called later' if value.get('_partial_') else ''}"
