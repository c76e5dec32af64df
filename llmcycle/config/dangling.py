"""References to what an option that was swapped in does not have: `dtype: ${..model.dtype}` beside a new model."""

from __future__ import annotations

from functools import partial
from typing import Any

from .options import Swaps
from .stages import Stage
from .values import REFERENCE, at, steps


def instead(stage: Stage, place: str) -> str:
    """Options for the part that was swapped: with what is referred to, or without the reference; "" where none was."""
    written = at(stage.written, steps(place))
    reference = REFERENCE.fullmatch(written) if isinstance(written, str) else None
    if reference is None:
        return ""
    aim = ".".join([*steps(place)[: -len(reference[1])], reference[2]])
    swaps = Swaps(stage)
    for end, suits in ((aim, partial(has, aim)), (place, partial(refers_not, place, written))):
        own = swaps.at(end)
        remedy = swaps.remedy(own, partial(suits, own)) if swaps.was_typed(own) else ""
        if remedy:
            return remedy
    return ""


def has(aim: str, own: str, option: dict[str, Any]) -> bool:
    """Whether an option at `own` has what a reference aims at."""
    return at(option, steps(aim.removeprefix(own))) is not None


def refers_not(place: str, written: str, own: str, option: dict[str, Any]) -> bool:
    """Whether an option at `own` is without the reference that is written at a place."""
    return bool(at(option, steps(place.removeprefix(own))) != written)
