"""What holds settings alone is built for trial: some values only its constructor knows to refuse, as where there is no
GPU for `trainer.accelerator=gpu`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from . import plain_tree
from .allow import lookups, qualified, resolve
from .annotations import SIMPLE, typed
from .errors import ConfigError
from .nested import is_node
from .options import Swaps
from .signature import CONTROL, PLAIN_DATA, named
from .stages import Stage
from .values import at, origin, seen_elsewhere, steps

ROUNDING = "transformers.utils.quantization_config.QuantizationConfigMixin"
SETTINGS = (*PLAIN_DATA, "peft.PeftConfig", "torchao.core.config.AOBaseConfig", ROUNDING)  # they hold nothing else
TRAINER = "pytorch_lightning.trainer.trainer.Trainer"
# Of a trainer: what is built of other parts, and what would change settings of the whole process.
NOT_TRIED = ("callbacks", "logger", "deterministic", "benchmark", "detect_anomaly", "plugins", "profiler")


class Untried(Exception):
    """A part is made of others that are not built for trial."""


def check_trial(stage: Stage) -> Iterator[ConfigError]:
    """Every part that holds settings alone can be built."""
    parts = {part: stage.settled.get(part) for part in stage.parts}
    for path, node in plain_tree.targets(parts, ""):
        if not seen_elsewhere(stage.raw, path) and is_tried(node):
            try:
                build(node)
            except Untried:
                continue
            except Exception as error:
                yield refusal(stage, path, node, error)


def is_tried(node: Mapping[str, Any]) -> bool:
    """Whether building a node does nothing but look at its settings."""
    if not is_node(node) or node.get("_partial_") or "???" in node.values():
        return False
    target = resolve(node["_target_"], "")
    classes = tuple(resolve(name, name) for name in SETTINGS)
    if not isinstance(target, type):
        return False
    plain = is_dataclass(target) and qualified(target).startswith("peft.")  # the settings of a start, such as EVA's
    return plain or issubclass(target, classes) or qualified(target) == TRAINER


def build(node: Mapping[str, Any], without: str = "") -> Any:
    """What a node builds, one of its settings left out.

    Raises:
        Untried: a setting is a part that is not built for trial.
        Exception: whatever the constructor raises.
    """
    target = resolve(node["_target_"], "")
    settings = {key: value for key, value in node.items() if key not in CONTROL and key != without}
    if qualified(target) == TRAINER:
        settings = {key: value for key, value in settings.items() if key not in NOT_TRIED and not is_node(value)}
        settings |= {"logger": False, "enable_progress_bar": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return target(**{key: value_of(value) for key, value in settings.items()})


def value_of(value: Any) -> Any:
    """A setting as the constructor is given it."""
    if is_node(value):
        if resolve(value["_target_"], "") in lookups():
            return resolve(str(value["path"]), "")
        if not is_tried(value):
            raise Untried
        return build(value)
    if isinstance(value, Mapping):
        return {key: value_of(item) for key, item in value.items()}
    return [value_of(item) for item in value] if isinstance(value, list) else value


def refusal(stage: Stage, path: str, node: Mapping[str, Any], error: Exception) -> ConfigError:
    """The constructor's words, for the one setting without which it has none; those that were typed come first."""
    reason = in_short(error)
    chosen, place = Swaps(stage), origin(stage.raw, path)
    settings = [key for key in node if key not in CONTROL]
    for name in sorted(settings, key=lambda key: stage.dot(place, key) not in chosen.typed):
        if builds(node, name):
            key = stage.dot(place, name)
            own = at(chosen.chosen(place), steps(place.removeprefix(chosen.at(place)))) or {}
            usual = default(resolve(node["_target_"], ""), name, node[name], own)
            return ConfigError(key, reason, f"{key}={usual}")
    return ConfigError(stage.dot(place), reason)


def in_short(error: Exception) -> str:
    """The first line of an error that says something: one that ends with a colon announces the next."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    telling = next((line for line in lines if not line.endswith(":")), lines[0])
    return re.sub(r"^\w*(?:Error|Exception): ", "", telling).rstrip(".:")


def builds(node: Mapping[str, Any], without: str) -> bool:
    """Whether a node can be built without a setting."""
    try:
        build(node, without)
    except Exception:
        return False
    return True


def default(target: Callable[..., Any], name: str, value: Any, option: Mapping[str, Any]) -> str:
    """What stands for a setting where nobody changes it: in the option's file, or by the signature."""
    own = option.get(name)
    if type(own) in SIMPLE and own not in (value, None) and "$" not in str(own):
        return typed(own)
    usual = named(target)[0][name].default if name in named(target)[0] else None
    return "null" if usual is None or type(usual) not in SIMPLE else typed(usual)
