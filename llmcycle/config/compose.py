"""Compose recipes through Hydra's public API, and turn its complaints into errors that name a valid choice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from . import resolvers, schema, stages
from .errors import ConfigError, choose, nearest
from .paths import groups, shipped

VERSION_BASE = "1.3"


class ShippedSearchPath(SearchPathPlugin):
    """Options are looked up in the recipe's folder, ./conf, ./recipes, then here; recipes are a group of their own."""

    def manipulate_search_path(self, search_path: Any) -> None:
        for own, folder in (("conf", Path("conf")), ("recipes", Path())):
            if Path(own).is_dir():
                search_path.append("llmcycle", f"file://{folder.resolve()}")
        for folder in (shipped("conf"), shipped("recipes"), shipped("recipes").parent):
            search_path.append("llmcycle", f"file://{folder}")


def register() -> None:
    """Make schema, resolvers and search path known to Hydra; repeating it is harmless."""
    Plugins.instance().register(ShippedSearchPath)
    schema.register()
    resolvers.register()


def split(recipe: Path) -> tuple[Path, str]:
    """Folder and name by which Hydra finds a recipe; a shipped one in a subfolder keeps it in its name."""
    home = shipped("recipes")
    if recipe.is_relative_to(home):
        return home, str(recipe.relative_to(home).with_suffix(""))
    return recipe.parent, recipe.stem


@contextmanager
def session(recipe: Path) -> Iterator[str]:
    """Hydra, initialised for this recipe; yields the config name."""
    register()
    folder, name = split(recipe)
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(folder), version_base=VERSION_BASE, job_name="llmcycle"):
        yield name


def compose(recipe: Path, overrides: Sequence[str] = ()) -> DictConfig:
    """The whole composition of one run, the `hydra` node included. Instantiates nothing.

    Raises:
        ConfigError: an override, a key of a file, an option or the YAML itself is wrong.
    """
    with session(recipe) as name:
        return composed(name, recipe, overrides)


def composed(name: str, recipe: Path, overrides: Sequence[str]) -> DictConfig:
    """Compose inside a session."""
    try:
        config = hydra_compose(name, overrides=list(overrides), return_hydra_config=True)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{mark.name}:{mark.line + 1}" if mark else str(recipe)
        raise ConfigError(where, f"this is not YAML: {error.problem}", 'in {...}, quote "???" and "${...}"') from None
    except AttributeError as error:  # omegaconf's, when a mapping is merged into a part that is absent
        found = re.search(r"full_key: (\S+)", str(error))
        if found is None:
            raise
        key, part = found.group(1), found.group(1).rpartition(".")[2]
        raise ConfigError(key, "this recipe has no such part to merge into", f"+{part}@{key}=OPTION") from None
    except (HydraException, OmegaConfBaseException) as error:
        raise translate(error, name, recipe, overrides) from None
    HydraConfig.instance().set_config(config)
    return config


def arms(recipe: Path, overrides: Sequence[str]) -> list[list[str]]:
    """Every combination of overrides that a multirun will try, in the basic sweeper's order.

    Sweeps over ranges that only another sweeper understands are left out: they cannot be listed beforehand.
    """
    with session(recipe) as name:
        composed(name, recipe, [])
        loader = GlobalHydra.instance().config_loader()
        try:
            parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
        except HydraException as error:
            raise ConfigError("multirun", first_line(error)) from None
        choices = [
            [f"{one.get_key_element()}={value}" for value in one.sweep_string_iterator()]
            if one.is_discrete_sweep()
            else [one.input_line or ""]
            for one in parsed
            if one.is_discrete_sweep() or not one.is_sweep_override()
        ]
    return [list(combination) for combination in product(*choices)]


@dataclass(frozen=True)
class Complaint:
    """What Hydra refused (`subject`), its whole `text`, and the composition it was refused in."""

    subject: str
    text: str
    name: str
    recipe: Path
    overrides: Sequence[str]


def translate(error: Exception, name: str, recipe: Path, overrides: Sequence[str]) -> ConfigError:
    """Hydra's complaint as ours: the key, the reason, the nearest valid name; never its advice to type `+key`."""
    text = f"{error}\n{error.__cause__ or ''}"
    for pattern, make in RULES:
        if found := re.search(pattern, text, re.DOTALL):
            return make(Complaint(found.group(1), text, name, recipe, overrides))
    return ConfigError(str(recipe), first_line(error))


def first_line(error: Exception) -> str:
    """The first line of an error's text, which in Hydra says what and in omegaconf says why."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def bad_override(complaint: Complaint) -> ConfigError:
    """An override whose key the composition has no place for."""
    key = complaint.subject
    if (deeper := re.search(r"full_key: (\S+)", complaint.text)) and deeper.group(1).startswith(f"{key}."):
        key = deeper.group(1)  # a mapping was given, and one of its keys is wrong
    typed = (one.partition("=")[2] for one in complaint.overrides if one.lstrip("+~").startswith(f"{key}="))
    suffix = next(typed, "VALUE")
    known, options = valid_keys(complaint.name)
    is_option = "@" in key or "No match in the defaults list" in complaint.text
    near = nearest(key, options) if is_option else by_parent(key, known) or nearest(key, [*known, *options])
    near = near or by_last_part(key, known)
    kind = "option group" if is_option else "key"
    return ConfigError(
        key, f"this recipe has no such {kind}", f"{near}={suffix}" if near else f"llmcycle {complaint.name} --cfg job"
    )


def by_parent(key: str, known: Sequence[str]) -> str | None:
    """The nearest key beside the one that was meant, where everything but its last part is right."""
    parent, _, last = key.rpartition(".")
    beside = [one.rpartition(".")[2] for one in known if one.rpartition(".")[0] == parent]
    near = nearest(last, beside)
    return (f"{parent}.{near}" if parent else near) if near else None


def by_last_part(key: str, known: Sequence[str]) -> str | None:
    """A key that ends as `key` does: `r=16` may have meant `peft.r=16`."""
    ending = [one for one in known if one.rpartition(".")[2] == key.rpartition(".")[2]]
    return min(ending, key=len) if ending else None


def valid_keys(name: str) -> tuple[list[str], list[str]]:
    """All dotted keys of the recipe without overrides, and its `group@package` keys for swapping options."""
    config = hydra_compose(name, return_hydra_config=True)
    options = [key for key in config.hydra.runtime.choices if not key.startswith("hydra/")]
    return list(dotted(stages.plain(config, resolve=False))), options


def dotted(value: Any, path: str = "") -> Iterator[str]:
    """Dotted keys of a plain mapping, at every depth, Hydra's own left out."""
    for key, item in value.items() if isinstance(value, dict) else ():
        here = f"{path}.{key}" if path else str(key)
        if here != "hydra":
            yield here
            yield from dotted(item, here)


def bad_merge(complaint: Complaint) -> ConfigError:
    """An override of the right key with an impossible value; above all `finetune.peft=dora`."""
    key, _, value = complaint.subject.partition("=")
    stage, _, part = key.rpartition(".")
    if part in schema.PARTS:
        swap = f"{part}@{key}={value}" if stage else f"{part}={value}"
        return ConfigError(
            key, f"it is a mapping, and `{value}` cannot stand for it: options are swapped by group", swap
        )
    return unknown_key(complaint.text, ConfigError(key, f"`{value}` is not possible here: {detail(complaint.text)}"))


def unknown_key(text: str, otherwise: ConfigError) -> ConfigError:
    """A key of a file or a `+key` that the schema does not have."""
    if found := re.search(r"Key '([^']+)' not in '(\w+)'.*?full_key: (\S+)", text, re.DOTALL):
        key, _, full = found.groups()
        parent = full.rpartition(".")[0]
        near = choose(key, [*schema.SCALARS, *schema.PARTS])
        remedy = near if near.startswith("one of") else (f"{parent}.{near}" if parent else near)
        return ConfigError(full, "a stage has no such key", remedy)
    return otherwise


def detail(text: str) -> str:
    """What omegaconf said about a value, without its object dump."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    kept = [line for line in lines[1:] if not line.startswith(("full_key", "object_type", "reference_type"))]
    return kept[0] if kept else lines[0]


def no_option(complaint: Complaint) -> ConfigError:
    """An option file that does not exist."""
    group, _, option = complaint.subject.rpartition("/")
    available = groups().get(group.removeprefix("/"), [])
    asked = next((one for one in complaint.overrides if one.endswith(f"={option}")), complaint.subject)
    if not available:
        return ConfigError(asked, f"there is no file {complaint.subject}.yaml", "llmcycle ls")
    near = choose(option, available)
    prefix = asked.rpartition("=")[0]
    remedy = f"{prefix}={near}" if prefix and not near.startswith("one of") else near
    return ConfigError(asked, f"`{group}` has no option `{option}`", remedy)


def schema_key(complaint: Complaint) -> ConfigError:
    """A key of a YAML file that the schema does not have."""
    error = unknown_key(complaint.text, ConfigError(str(complaint.recipe), detail(complaint.text)))
    value = next((one.partition("=")[2] for one in complaint.overrides if one.startswith(f"{error.key}=")), "")
    return ConfigError(error.key, error.reason, f"{error.remedy}={value}") if value else error


def syntax(complaint: Complaint) -> ConfigError:
    """An override that is not `key=value`."""
    return ConfigError(
        complaint.subject, "an override has the form key=value", "quote it, if the shell took part of it"
    )


RULES = (
    (r"Key '([^']+)' not in '\w+'", schema_key),
    (r"Could not override '([^']+)'", bad_override),
    (r"Error merging override (\S+)", bad_merge),
    (r"Could not find '([^']+)'", no_option),
    (r"Cannot find primary config '([^']+)'", no_option),
    (r"Error parsing override '([^']+)'", syntax),
)
