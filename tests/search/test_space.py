"""Overrides of Hydra's grammar as distributions, and drawn values as overrides."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from llmcycle.search.space import Space


def space(*overrides: str) -> Space:
    return Space.read(OverridesParser.create().parse_overrides(list(overrides)))


@pytest.mark.parametrize(
    ("values", "distribution", "size"),
    [
        ("interval(0.1, 2)", FloatDistribution(0.1, 2.0), None),
        ("tag(log, interval(1e-4, 1e-2))", FloatDistribution(1e-4, 1e-2, log=True), None),
        ("int(interval(1, 9))", IntDistribution(1, 9), 9),
        ("tag(log, int(interval(1, 64)))", IntDistribution(1, 64, log=True), 64),
        ("range(4, 33, 4)", IntDistribution(4, 32, step=4), 8),
        ("range(0.1, 0.5, 0.1)", FloatDistribution(0.1, 0.4, step=0.1), 4),
        ("range(5, 1, -2)", IntDistribution(3, 5, step=2), 2),
        ("lora,dora", CategoricalDistribution(["key=lora", "key=dora"]), 2),
        ("null,true,'a, b'", CategoricalDistribution(["key=null", "key=True", "key='a, b'"]), 3),
        ("shuffle(range(1, 4))", CategoricalDistribution(["key=1", "key=2", "key=3"]), 3),
    ],
)
def test_values_are_drawn_as_they_are_typed(values: str, distribution: BaseDistribution, size: int | None) -> None:
    read = space(f"key={values}")
    own = read.distributions["key"]
    if isinstance(own, CategoricalDistribution) and "shuffle" in values:
        own = CategoricalDistribution(sorted(own.choices, key=str))
    assert own == distribution
    assert read.size == size


def test_what_is_fixed_stays_and_seeds_are_replicates() -> None:
    read = space("a=1", "b=x,y", "seed=0,1", "~c", "+d=interval(0,1)", "e=choice(7)")
    assert read.fixed == ["a=1", "~c", "e=7"]
    assert read.seeds == ["seed=0", "seed=1"]
    assert read.words({"b": "b=x", "+d": 0.123456}) == ["a=1", "~c", "e=7", "b=x", "+d=0.1235"]
