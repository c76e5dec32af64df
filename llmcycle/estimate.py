"""What a stage will cost, going by an earlier one that differs in nothing that changes time or memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

# Keys, at any depth, whose values change no shape and no count.
FREE = {
    *("name", "seed", "random_seed", "resume", "logger"),
    *("lr", "weight_decay", "betas", "eps", "momentum", "gradient_clip_val", "beta", "temperature"),
}
STEPS = ("trainer", "max_steps")
FEW = 0.1  # a run of fewer steps than this share says too little of a longer one: most of it was getting ready


class Cost(NamedTuple):
    """Of a stage: seconds of wall clock, and bytes at the most."""

    seconds: float
    peak: float


def foretell(earlier: Iterable[Mapping[str, Any]], config: Mapping[str, Any]) -> Cost | None:
    """The cost of a stage that is written so, from the last manifest that tells it; None where none does."""
    alike = [each for each in earlier if "peak_memory" in each["metrics"] and same(each["config"], config)]
    costs = (scaled(each, steps(config)) for each in sorted(alike, key=lambda each: each["created"], reverse=True))
    return next((cost for cost in costs if cost is not None), None)


def same(first: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two written stages differ in nothing that changes time or memory, but for the steps."""
    return bool(fixed(first) == fixed(other))


def fixed(value: object, place: tuple[str, ...] = ()) -> Any:
    """What of a written stage decides its cost."""
    if not isinstance(value, Mapping):
        return list(value) if isinstance(value, list | tuple) else value
    items = {str(key): item for key, item in value.items() if key not in FREE and (*place, str(key)) != STEPS}
    return {key: fixed(item, (*place, key)) for key, item in items.items()}


def steps(config: Mapping[str, Any]) -> int | None:
    """How many steps a stage is to take; None where it trains nothing, or as long as its rows last."""
    count = (config.get("trainer") or {}).get("max_steps")
    return count if isinstance(count, int) and count > 0 else None


def scaled(manifest: Mapping[str, Any], wanted: int | None) -> Cost | None:
    """An earlier stage's cost, its training made longer or shorter; None where it was too short to tell."""
    peak, taken = manifest["metrics"]["peak_memory"]["value"], steps(manifest["config"])
    if wanted == taken:
        return Cost(manifest["seconds"], peak)
    training = (manifest["metrics"].get("seconds") or {}).get("value")
    if wanted is None or taken is None or training is None or taken < FEW * wanted:
        return None
    return Cost(manifest["seconds"] + training * (wanted / taken - 1), peak)
