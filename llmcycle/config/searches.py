"""A sweep that searches: what its settings say is judged, and arms at the corners of its space stand for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig

from . import plain_tree, stages
from .allow import check_target
from .annotations import example, misfits, need, parameter_types
from .compose import compose, corners, override_values
from .errors import ConfigError, RecipeErrors
from .near import overrides as typed_overrides
from .options import Swaps
from .signature import bind, label, named
from .sweeps import Judge, check_every

SEARCH = "search"
LOOKS = ("judge", "over_optimisation")  # callbacks that look at a model while it learns
INTERVAL = "interval("
COUNTING = ("BruteForceSampler", "GridSampler")  # samplers that take values one by one
NO_RESULT = ("trials", "parallel", "storage")  # settings with which a search is still the same one


@dataclass(frozen=True)
class Plan:
    """A sweep that searches.

    Args:
        root: what the first of the arms composes.
        words: the overrides that were typed.
        every: the same with the space of the recipe before them.
        arms: those of the arms that were judged.
    """

    root: DictConfig
    words: Sequence[str]
    every: Sequence[str]
    arms: list[list[str]]

    @property
    def identity(self) -> str:
        """The same for the same search, so that a killed one goes on, also with more trials or under a launcher."""
        root = plain_tree.plain(self.root, resolve=False)
        own = {key: value for key, value in root[SEARCH].items() if key not in NO_RESULT}
        rest = {key: value for key, value in root.items() if key not in ("hydra", "outputs", SEARCH)}
        beside = ("hydra.", "hydra/", "outputs=", *(f"{SEARCH}.{key}=" for key in NO_RESULT))
        typed = sorted(word for word in self.words if not word.startswith(beside))
        return sha256(dumps([typed, own, rest], sort_keys=True, default=str).encode()).hexdigest()[:12]


def is_search(recipe: Path, overrides: Sequence[str]) -> bool:
    """Whether a recipe searches, by what is typed or by its own file."""
    if any(override.lstrip("+").startswith(f"{SEARCH}=") for override in overrides):
        return True
    return SEARCH in recipe.read_text("utf-8") and bool(compose(recipe).get(SEARCH))


def plan_search(recipe: Path, overrides: Sequence[str], judge: Judge) -> Plan | None:
    """Judge a search by arms at the corners of its space; None where nothing is searched.

    Raises:
        ConfigError: its settings are wrong, or an arm is.
    """
    if not is_search(recipe, overrides):
        return None
    check_own(overrides)
    first = compose(recipe, corners(recipe, overrides)[0])
    if not first.get(SEARCH):
        return None
    if errors := list(check_search(first)):
        raise RecipeErrors(errors)
    every = with_space(first[SEARCH].get("space") or {}, overrides)
    check_own(every)
    check_ranges(override for override, _ in override_values(recipe, every))
    arms = corners(recipe, every)
    if len(arms) < 2:
        reason = "there is nothing to search: no setting has several values"
        raise ConfigError(SEARCH, reason, "'optim.lr=tag(log, interval(1e-4, 1e-2))', a range to draw from")
    uncounted = next((word for word in every if INTERVAL in word), None)
    if uncounted and str(first[SEARCH].sampler._target_).endswith(COUNTING):
        reason = "these values can't be counted, and this search tries each of them"
        raise ConfigError(uncounted, reason, "search=tpe, which chooses some")
    check_every(recipe, every, judge, arms)
    return Plan(first, overrides, every, arms)


def check_own(overrides: Sequence[str]) -> None:
    """ConfigError where the search itself is swept: `search=tpe,random`, `search.trials=2,3`."""
    for override in overrides:
        key, _, value = override.partition("=")
        own = key.lstrip("+") == SEARCH or key.lstrip("+").startswith(f"{SEARCH}.")
        if own and "," in value and not value.startswith(("[", "{", "'", '"')):
            reason = "a sweep has one search, and its settings are the same in all trials"
            raise ConfigError(override, reason, f"{key}={value.partition(',')[0]}")


def check_ranges(overrides: Iterable[Override]) -> None:
    """ConfigError for an interval whose end is not above its start, or that has no logarithm."""
    for override in overrides:
        value = override.value() if override.is_sweep_override() else None
        if not isinstance(value, IntervalSweep):
            continue
        key, low, high = override.get_key_element(), value.start or 0.0, value.end or 0.0
        if low >= high:
            ends = f"{high}, {low}" if low > high else f"{low}, {high + 1}"
            raise ConfigError(override.input_line or key, "its end is not above its start", f"'{key}=interval({ends})'")
        if "log" in value.tags and low <= 0:
            reason = "a logarithm needs ends above 0"
            raise ConfigError(override.input_line or key, reason, f"'{key}=interval({low}, {high})'")


def with_space(space: Mapping[str, object], overrides: Sequence[str]) -> list[str]:
    """Overrides with those that a recipe's space stands for; what is typed of a setting goes before what is written."""
    typed = {override.partition("=")[0].lstrip("+") for override in overrides}
    return [*(f"{key}={values}" for key, values in space.items() if key.lstrip("+") not in typed), *overrides]


def check_search(root: DictConfig) -> Iterator[ConfigError]:
    """Every target of the settings may be called, takes what it is given, and a storage was typed by the user."""
    node = plain_tree.plain(root[SEARCH]) if isinstance(root[SEARCH], DictConfig) else root[SEARCH]
    if not isinstance(node, dict) or "_target_" not in node:
        reason = f"it is a mapping, and `{node}` cannot stand for it: options are swapped by group"
        yield ConfigError(SEARCH, reason, "search=tpe")
        return
    parts = list(plain_tree.targets(node, SEARCH))
    refused = [error for path, part in parts if (error := refusal(path, part))]
    yield from refused or (error for path, part in parts for error in check_part(path, part))
    if node.get("storage") and not any(word.startswith("search.storage=") for word in typed_overrides(root)):
        reason = "an address of records is taken from the command line alone, not from a file"
        yield ConfigError("search.storage", reason, f"'search.storage={node['storage']}' typed after the recipe's name")
    if node.get("pruner") and not any(map(looked_at, stages.of(root))):
        reason = "nothing looks at a model while it learns, so no trial could be ended early"
        yield ConfigError("search.pruner", reason, looking(root))


def refusal(path: str, part: dict[str, Any]) -> ConfigError | None:
    """Why the target of a mapping may not be called; None where it may."""
    try:
        check_target(str(part["_target_"]), f"{path}._target_")
    except ConfigError as error:
        return error
    return None


def check_part(path: str, part: dict[str, Any]) -> Iterator[ConfigError]:
    """What a mapping with a `_target_` gives to it."""
    target = check_target(str(part["_target_"]), f"{path}._target_")
    yield from bind(target, part, path)
    parameters = named(target)[0]
    annotations = parameter_types(target)
    for argument in part.keys() & parameters.keys():
        for place, value, wanted in misfits(part[argument], annotations[argument], f"{path}.{argument}"):
            reason = f"{label(target)} needs {need(wanted)} as `{argument}`, and this is {value!r}"
            yield ConfigError(place, reason, f"{place}={example(wanted, parameters[argument].default)}")


def looked_at(stage: stages.Stage) -> bool:
    """Whether something scores the stage's model while it learns."""
    trainer = stage.node.get("trainer") or {}
    return any(name in (stage.node.get("callbacks") or {}) for name in LOOKS) or bool(trainer.get("limit_val_batches"))


def looking(root: DictConfig) -> str:
    """What to type so that something does."""
    training = [stage for stage in stages.of(root) if "callbacks" in Swaps(stage).groups]
    if not training:
        return "search=tpe, which lets every trial end by itself"
    last = training[-1]
    return f"{last.swap('callbacks')}=judged" if last.node.get("evaluate") else f"{last.swap('trainer')}=validated"
