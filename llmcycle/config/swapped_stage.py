"""A stage that was swapped in, in a recipe that is made for another kind of stage."""

from __future__ import annotations

from collections.abc import Iterator

from . import usual
from .allow import resolve
from .errors import ConfigError
from .options import Swaps
from .signature import named, required
from .stages import Stage

SEVERAL = 2  # parts that a recipe lacks: to add them one by one would be to write another recipe


def check_swapped_stage(stage: Stage) -> Iterator[ConfigError]:
    """It finds its parts: a recipe that only merges has no data, trainer and model to train."""
    if not Swaps(stage).was_typed("stage"):
        return
    node = stage.settled["stage"]
    absent = [name for name in required(named(resolve(node["_target_"], ""))[0]) if node.get(name, 0) is None]
    own = usual.choices(stage.root).get(stage.swap("stage"))
    if len(absent) >= SEVERAL and own:
        reason = f"it needs {', '.join(absent)}, and this recipe has none of them"
        yield ConfigError(stage.dot("stage"), reason, f"{stage.swap('stage')}={own}")
