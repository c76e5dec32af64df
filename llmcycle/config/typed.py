"""What is meant by overrides that say less than Hydra needs, and how values are typed in its grammar and in a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig

from . import stages
from .stages import Stage

EPOCHS = re.compile(r"\+{0,2}((?:\w+\.)*trainer\.)max_epochs=(?!null|-1$).+")
LOGGER = re.compile(r"(\+{0,2})logger(=|\.)([^,\[]*|\[[^\]]*\])")
INPUT = re.compile(r"(\+{0,2}(?:[\w.]+\.)?inputs\.\w+)=(.+)")
WORLD = re.compile(r"world=(?![{'\"]).*")
SEARCH = re.compile(r"search=(?![{'\"]).*")
FUNCTION = re.compile(r"\w+\(.*\)")  # of Hydra's, such as choice(a,b)


def meant(overrides: Sequence[str], compose: Callable[[list[str]], DictConfig]) -> list[str]:
    """The overrides in full.

    Args:
        compose: composes the recipe with some overrides; called only where the answer depends on its stages.
    """
    every = by_epochs([as_text(added(override)) for override in last_of(overrides)])
    if any(map(SEARCH.fullmatch, every)) and "search" not in compose([]).hydra.runtime.choices:
        every = [f"+{override}" if SEARCH.fullmatch(override) else override for override in every]
    if not any(map(LOGGER.fullmatch, every)):
        return every
    root = compose([arm for override in every if not LOGGER.fullmatch(override) for arm in first_arm(override)])
    if not root.get("lifecycle"):
        return every
    own = [Stage(root, name) for name in stages.present(root)]
    return [each for override in every for each in for_all(override, own)]


def last_of(overrides: Sequence[str]) -> list[str]:
    """Of a group that is added to the recipe, and that Hydra would add twice, the last option alone."""
    places = [[i for i, override in enumerate(overrides) if group.fullmatch(override)] for group in (WORLD, SEARCH)]
    earlier = {place for each in places for place in each[:-1]}
    return [override for i, override in enumerate(overrides) if i not in earlier]


def first_arm(override: str) -> list[str]:
    """An override, of a sweep its first value; nothing for a pattern or an interval, which only a sweeper resolves."""
    if not parses(override):  # Hydra says why, when it composes
        return [override]
    parsed = OverridesParser.create().parse_override(override)
    if not parsed.is_sweep_override():
        return [override]
    try:
        return [f"{parsed.get_key_element()}={value}" for value in parsed.sweep_string_iterator()][:1]
    except HydraException:
        return []


def added(override: str) -> str:
    """`world=bench` as Hydra needs it: what reads a world brings one by its path, which a swap does not reach."""
    return f"+{override}" if WORLD.fullmatch(override) else override


def as_typed(override: str) -> str:
    """The same as a user types it, for a message."""
    bare = override.removeprefix("+")
    return bare if override == added(bare) or SEARCH.match(bare) else override


def as_text(override: str) -> str:
    """An override whose value Hydra would read otherwise, or not at all, with that value in quotes.

    An input is a name: Hydra would read the ids 6953 and 7e88 as numbers. Of any key `rows (1).csv` is a text.
    """
    key, _, value = override.partition("=")
    if FUNCTION.fullmatch(value) or any(sign in value for sign in "'\"[{$"):
        return override
    if INPUT.fullmatch(override):
        return f"{key}={','.join(map(quoted, value.split(',')))}"
    if not value or parses(override):
        return override
    return f"{key}={','.join(part if parses(f'key={part}') else in_quotes(part) for part in value.split(','))}"


def parses(override: str) -> bool:
    """Whether Hydra's grammar can read an override; of letters it knows those of English only."""
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def in_quotes(value: str) -> str:
    """A text as Hydra reads it back, whatever stands in it; its backslashes matter before a quote only."""
    mark = "'" if '"' in value else '"'
    escaped = re.sub(rf"(\\*)({mark}|$)", lambda match: match[1] * 2 + (match[2] and f"\\{mark}"), value)
    return f"{mark}{escaped}{mark}"


def in_shell(value: object) -> str:
    """A plain value as it is typed in a shell; a mapping of parts is only begun."""
    return shlex.quote(flow(value))


def flow(value: object) -> str:
    """A plain value in Hydra's grammar."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(flow, value)) + "]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return in_quotes(value) if isinstance(value, str) and not parses(f"key={value}") else str(value)


def quoted(value: str) -> str:
    """A value in quotes, where Hydra would not read it as a text without them."""
    is_number = re.fullmatch(r"[\d_]+([eE][\d_]+)?", value) is not None
    is_call = any(sign in value for sign in "()=~")
    return in_quotes(value) if is_number or is_call or not parses(f"key={value}") else value


def by_epochs(overrides: Sequence[str]) -> list[str]:
    """A run by epochs is not cut short by the steps that its recipe has; those that are typed beside them hold."""
    keys = {override.partition("=")[0].lstrip("+") for override in overrides}
    trainers = [match[1] for match in map(EPOCHS.fullmatch, overrides) if match]
    return [*overrides, *(f"{trainer}max_steps=-1" for trainer in trainers if f"{trainer}max_steps" not in keys)]


def for_all(override: str, every: list[Stage]) -> list[str]:
    """`logger=wandb`, or a setting of it, as an override of each stage of a lifecycle."""
    match = LOGGER.fullmatch(override)
    if match is None:
        return [override]
    sign, kind, rest = match.groups()
    if kind == "=":
        return [f"{sign}{stage.swap('logger')}={rest}" for stage in every]
    return [f"{sign}{stage.dot('logger')}.{rest}" for stage in every]
