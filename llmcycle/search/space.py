"""The settings that a search varies: from overrides of Hydra's grammar to distributions, and from values back to
overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from llmcycle.report.sweep import is_seed

LOG = "log"  # a tag of the grammar: tag(log, interval(1e-4, 1e-2))
DIGITS = 4  # of a drawn number, so that a command stays readable


@dataclass(frozen=True)
class Space:
    """What is searched, what is the same in all trials, and the seeds that are replicates of each trial.

    Args:
        fixed: overrides of every trial.
        distributions: by the key of the override. The values of a list are whole overrides.
        seeds: overrides, one a replicate; [] where none is swept.
    """

    fixed: Sequence[str]
    distributions: Mapping[str, BaseDistribution]
    seeds: Sequence[str]

    @classmethod
    def read(cls, overrides: Sequence[Override]) -> Space:
        """The space that overrides describe."""
        fixed, distributions, seeds = list[str](), dict[str, BaseDistribution](), list[str]()
        for override in overrides:
            words = words_of(override)
            if len(words) == 1:
                fixed += words
            elif words and is_seed(words[0]):
                seeds += words
            else:
                distributions[override.get_key_element()] = distribution_of(override.value(), words)
        return cls(fixed, distributions, seeds)

    def words(self, params: Mapping[str, Any]) -> list[str]:
        """The overrides of a trial, seeds aside."""
        return [*self.fixed, *(self._word(key, params[key]) for key in self.distributions)]

    def _word(self, key: str, value: Any) -> str:
        if isinstance(self.distributions[key], CategoricalDistribution):
            return str(value)
        return f"{key}={value if isinstance(value, int) else f'{value:.{DIGITS}g}'}"

    @property
    def size(self) -> int | None:
        """How many settings there are; None where they cannot be counted."""
        counts = [count_of(each) for each in self.distributions.values()]
        return prod(count for count in counts if count) if all(counts) else None


def words_of(override: Override) -> list[str]:
    """Overrides, one for each value of a sweep; [] where they cannot be counted."""
    if not override.is_sweep_override():
        return [override.input_line or ""]
    if not override.is_discrete_sweep():
        return []
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def distribution_of(value: object, words: Sequence[str]) -> BaseDistribution:
    """The distribution of a sweep.

    Args:
        value: the sweep.
        words: its overrides, where they can be counted.
    """
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        whole = isinstance(low, int) and isinstance(high, int)
        return (IntDistribution if whole else FloatDistribution)(low, high, log=LOG in value.tags)  # type: ignore[arg-type]
    if isinstance(value, RangeSweep) and not value.shuffle:
        ends = [word.partition("=")[2] for word in (words[0], words[-1])]
        whole = all(end.lstrip("-").isdecimal() for end in ends)
        low, high = sorted(map(int if whole else float, ends))
        return (IntDistribution if whole else FloatDistribution)(low, high, step=abs(value.step or 1))  # type: ignore[arg-type]
    return CategoricalDistribution(words)


def count_of(distribution: BaseDistribution) -> int | None:
    """How many values a distribution has; None for a continuous one."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    step = getattr(distribution, "step", None)
    low, high = getattr(distribution, "low", 0), getattr(distribution, "high", 0)
    return None if step is None else round((high - low) / step) + 1
