"""An estimate comes from a stage that was the same but for what changes no cost, and grows with the steps."""

from __future__ import annotations

from typing import Any

from llmcycle.estimate import Cost, foretell


def config(**settings: Any) -> dict[str, Any]:
    return {
        "name": "a",
        "seed": 0,
        "trainer": {"max_steps": 100},
        "optim": {"lr": 0.1},
        "model": {"size": 1},
    } | settings


def manifest(created: str = "2026", **settings: Any) -> dict[str, Any]:
    metrics = {"peak_memory": {"value": 5e9}, "seconds": {"value": 50.0}}
    return {"created": created, "seconds": 60.0, "metrics": metrics, "config": config(**settings)}


def test_the_same_stage_costs_the_same() -> None:
    assert foretell([manifest()], config(seed=3, optim={"lr": 0.3})) == Cost(60.0, 5e9)


def test_training_grows_with_the_steps_and_getting_ready_does_not() -> None:
    assert foretell([manifest()], config(trainer={"max_steps": 300})) == Cost(160.0, 5e9)
    assert foretell([manifest()], config(trainer={"max_steps": 50})) == Cost(35.0, 5e9)


def test_there_is_none_rather_than_a_wrong_one() -> None:
    assert foretell([manifest()], config(model={"size": 2})) is None
    assert foretell([manifest()], config(trainer={"max_steps": 10_000})) is None
    assert foretell([manifest()], config(trainer={"max_steps": -1})) is None
    assert foretell([], config()) is None


def test_the_last_one_counts() -> None:
    old = manifest("2025") | {"seconds": 90.0}
    assert foretell([old, manifest()], config()) == Cost(60.0, 5e9)
