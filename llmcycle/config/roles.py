"""Models beside the one that is handed on: those that an objective uses, and the critic that an advantage reads."""

from __future__ import annotations

from collections.abc import Iterator

from .errors import ConfigError
from .nested import is_node
from .parts import Part, learned, other, part, stated
from .stages import Stage
from .values import at, steps

OWN = {"policy", "reference"}  # the model itself, and what it was before training
OTHERS = "stage.module.others"


def check_roles(stage: Stage) -> Iterator[ConfigError]:
    """Each role of an objective has its model, and each model a role."""
    objective = learned(stage)
    if objective is None or not isinstance(roles := getattr(objective.target, "roles", None), tuple):
        return
    given = at(stage.settled, steps(OTHERS)) or {}
    for role in sorted({*roles} - OWN - set(given)):
        reason = f"{objective.name} needs a model as {role}, and module.others has none"
        remedy = other(stage, (objective.place, lambda node: not needs(node, set(given))))
        yield ConfigError(stage.dot(objective.place), reason, remedy)
    for role in sorted(set(given) - {*roles}):
        others = stage.dot("module", "others")
        # Hydra takes out no key that refers to what is taken out beside it, and the whole mapping it does.
        remedy = f"~{others}.{role}" if len(given) > 1 else f"~{others}"
        yield ConfigError(f"{others}.{role}", f"{objective.name} has no use for a {role}", remedy)


def needs(node: object, given: set[str]) -> bool:
    """Whether an objective uses a model that is not given."""
    return bool({*(stated(node, "roles") or ())} - OWN - given)


def check_critic(stage: Stage) -> Iterator[ConfigError]:
    """An advantage that reads a critic's values stands in an objective that has a critic."""
    objective, advantage = learned(stage), part(stage, "stage.module.objective.advantage")
    if objective is None or advantage is None or not reads_critic(advantage):
        return
    if "critic" not in getattr(objective.target, "roles", ()):
        reason = f"{advantage.name} reads a critic's values, and {objective.name} has no critic"
        remedy = other(stage, (advantage.place, lambda node: is_node(node) and not stated(node, "critic")))
        yield ConfigError(stage.dot(advantage.place), reason, remedy)


def reads_critic(advantage: Part) -> bool:
    """Whether an advantage says that it reads values."""
    return bool(stated(advantage.node, "critic"))
