"""Libraries that come with an extra of ours alone: what needs one is refused where it is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from . import plain_tree
from .allow import lookups, qualified, resolve
from .errors import ConfigError
from .nested import is_node
from .stages import Stage

# By where a function is defined: the package that it imports, and the extra that installs it.
NEEDS = {"trl.rewards.accuracy_rewards": ("math_verify", "math")}


def check_extras(stage: Stage) -> Iterator[ConfigError]:
    """Every function that a stage names, by itself or by a lookup, has the package that it needs."""
    seen: set[str] = set()
    for path, node in plain_tree.targets({part: stage.settled[part] for part in stage.parts}, ""):
        module = qualified(named(node)).rpartition(".")[0] if is_node(node) else ""
        if module in NEEDS and module not in seen and find_spec(NEEDS[module][0]) is None:
            seen.add(module)
            package, extra = NEEDS[module]
            reason = f"it needs the package {package}, which is not installed"
            yield ConfigError(stage.dot(path), reason, f"pip install 'llmcycle[{extra}]'")


def named(node: dict[str, Any]) -> Any:
    """What a node calls, or what it looks up."""
    target = resolve(node["_target_"], "")
    return resolve(str(node["path"]), "") if target in lookups() else target
