"""Every arm of a sweep is judged before the first one runs, and those that are refused are told together."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig

from .compose import arms, compose
from .errors import ConfigError, RecipeErrors

Judge = Callable[[DictConfig], None]
SHOWN = 3  # arms
INTERVAL = re.compile(r"\binterval\([^)]*\)")
WHOLE = "a whole number"  # in the reason of a value that is none
RANGE = re.compile(r"\b(interval|range)\(")  # values that are no list, so none can be left out


class ArmErrors(ConfigError):
    """What is wrong with some arms of a sweep, while others are right.

    Args:
        refused: the error of each refused arm, by what sets the arm apart.
        count: of all arms.
        remedy: what to type.
    """

    def __init__(self, refused: Mapping[str, ConfigError], count: int, remedy: str) -> None:
        self.refused, self.count = refused, count
        first = next(iter(refused.values()))
        super().__init__(first.key, first.reason, remedy)

    def __str__(self) -> str:
        lines = [f"{len(self.refused)} of {self.count} arms can't run, so none was begun"]
        lines += [f"{arm}: {error.key}: {error.reason}" for arm, error in list(self.refused.items())[:SHOWN]]
        lines += [f"... and {len(self.refused) - SHOWN} more"] if len(self.refused) > SHOWN else []
        return "\n".join([*lines, f"  try: {self.remedy}"])


def check_arms(recipe: Path, overrides: Sequence[str], judge: Judge) -> list[list[str]]:
    """Judge what each arm composes, and give the overrides of each.

    Raises:
        ConfigError: of the first arm, where all are refused or there is only one.
        ArmErrors: some are refused.
    """
    return check_every(recipe, overrides, judge, arms(recipe, overrides))


def check_every(recipe: Path, overrides: Sequence[str], judge: Judge, every: list[list[str]]) -> list[list[str]]:
    """The same of arms that are known."""
    errors = {place: error for place, arm in enumerate(every) if (error := refused(recipe, arm, judge))}
    if not errors:
        return every
    swept = [place for place in range(len(every[0])) if len({arm[place] for arm in every}) > 1]
    bad = {key: bad_values(every, errors, key) for key in swept}
    explained = all(any(every[place][key] in bad[key] for key in swept) for place in errors)
    names = tuple(f"{every[0][key].partition('=')[0]}=" for key in swept if bad[key])
    of_range = any(RANGE.search(word) for word in overrides if word.startswith(names))
    if len(errors) == len(every) or not explained or of_range:
        first = errors[min(errors)]
        typed = next((word for word in overrides if word.startswith(f"{first.key}=") and INTERVAL.search(word)), "")
        if WHOLE in first.reason and typed:
            raise ConfigError(typed, first.reason, shlex.quote(INTERVAL.sub(r"int(\g<0>)", typed)))
        raise of_all(first, every[min(errors)], overrides)
    named = {" ".join(every[place][key] for key in swept): error for place, error in errors.items()}
    remedies = [left(overrides, [arm[key] for arm in every], bad[key]) for key in swept if bad[key]]
    raise ArmErrors(named, len(every), " ".join(remedies))


def for_hydra(words: Sequence[str], every: Sequence[Sequence[str]]) -> list[str]:
    """The overrides of a sweep, where a setting of an option that is swept becomes a choice of one value.

    Hydra composes a sweep once without what is swept, and there the usual option may not have the setting.

    Args:
        words: the overrides.
        every: those of each arm.
    """
    varied = {word.partition("=")[0] for arm in every for word in arm if word not in every[0]}
    below = tuple(f"{key.lstrip('+').rpartition('@')[2]}." for key in varied)
    same = set(every[0]).intersection(*every)
    return [as_choice(word) if word in same and word.lstrip("+").startswith(below) else word for word in words]


def as_choice(override: str) -> str:
    """A fixed override as a sweep over its one value."""
    key, _, value = override.partition("=")
    return f"{key}=choice({value})"


def of_all(error: ConfigError, arm: Sequence[str], overrides: Sequence[str]) -> ConfigError:
    """The error of one arm, with a remedy that keeps the whole sweep: `optim.lr=1,2`, not `optim.lr=1`."""
    for name, _, value in (override.partition("=") for override in arm):
        key, _, advice = error.remedy.partition("=")
        swept = next((o for o in overrides if o.startswith(f"{name}=") and o != f"{name}={value}"), "")
        if swept and advice == value and not isinstance(error, RecipeErrors):
            return ConfigError(error.key, error.reason, f"{key}={swept.partition('=')[2]}")
    return error


def refused(recipe: Path, overrides: Sequence[str], judge: Judge) -> ConfigError | None:
    """Why an arm can't run; None where it can."""
    try:
        judge(compose(recipe, overrides))
    except ConfigError as error:
        return error
    return None


def bad_values(every: Sequence[Sequence[str]], errors: Mapping[int, ConfigError], key: int) -> set[str]:
    """The values of one swept override with which no arm can run."""
    runs = {arm[key] for place, arm in enumerate(every) if place not in errors}
    return {arm[key] for arm in every} - runs


def left(overrides: Sequence[str], values: Sequence[str], bad: set[str]) -> str:
    """A swept override without those of its `values` that are in `bad`, as it is typed in a shell."""
    name = values[0].partition("=")[0]
    if f"{name}=glob(*)" in overrides:
        without = sorted(each.partition("=")[2] for each in bad)
        return shlex.quote(f"{name}=glob(*,exclude=[{','.join(without)}])")
    good = [each.partition("=")[2] for each in dict.fromkeys(values) if each not in bad]
    return shlex.quote(f"{name}={','.join(good)}")
