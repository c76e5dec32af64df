"""Compose recipes through Hydra's public API; its complaints become ours in hints.py."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from llmcycle.masking import notice

from . import resolvers, schema
from .errors import ConfigError
from .hints import first_line, translate
from .other_recipes import absent
from .paths import shipped
from .typed import meant
from .usual import VERSION_BASE
from .yaml_faults import in_defaults, not_yaml, other_kind, without_base

OUTPUTS = "outputs="
COPY = "llmcycle cp finetune my_finetune.yaml, for a recipe to begin with"


class ShippedSearchPath(SearchPathPlugin):
    """Options are looked up in the recipe's folder, ./conf, ./recipes, then here; recipes are a group of their own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
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
    rest, outputs = take_outputs(overrides)
    with session(recipe) as name:
        config = composed(name, recipe, meant(rest, partial(composed, name, recipe)))
    if outputs is not None:
        config.outputs = outputs
    return config


def in_full(recipe: Path, overrides: Sequence[str]) -> list[str]:
    """Overrides as Hydra needs them: see `llmcycle.config.typed`."""
    rest, outputs = take_outputs(overrides)
    with session(recipe) as name:
        every = meant(rest, partial(composed, name, recipe))
    return every if outputs is None else [*every, f"{OUTPUTS}{outputs}"]


def take_outputs(overrides: Sequence[str]) -> tuple[list[str], str | None]:
    """The overrides without `outputs=FOLDER`, and that folder.

    Hydra would take it for a group as soon as a folder of this name stands beside the recipe, as it does after a run.
    """
    folders = [override.partition("=")[2] for override in overrides if override.startswith(OUTPUTS)]
    return [override for override in overrides if not override.startswith(OUTPUTS)], folders[-1] if folders else None


def composed(name: str, recipe: Path, overrides: Sequence[str]) -> DictConfig:
    """Compose inside a session."""
    readable(recipe)
    notice(list(overrides))
    refuse_packages(recipe, overrides)
    try:
        config = hydra_compose(name, overrides=list(overrides), return_hydra_config=True)
    except MarkedYAMLError as error:
        raise not_yaml(error, recipe) from None
    except AttributeError as error:  # omegaconf's, when a mapping is merged into a part that is absent
        key = re.search(r"full_key: (\S+)", str(error))
        if key is None:
            raise
        raise absent(key[1], name, "OPTION") from None
    except ConfigError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        own = other_kind(str(error), recipe) or in_defaults(str(error), recipe, overrides)
        raise own or translate(error, name, recipe, overrides) from None
    if "outputs" not in config and "~outputs" in overrides:
        raise ConfigError("~outputs", "every run has it", "outputs=outputs")
    if "outputs" not in config:
        raise without_base(yaml.safe_load(recipe.read_text("utf-8")), recipe)
    HydraConfig.instance().set_config(config)
    notice(OmegaConf.to_container(config, resolve=False))
    return config


def readable(recipe: Path) -> None:
    """Refuse a file that is no mapping: empty, a text alone, a list, or bytes that are no YAML at all."""
    try:
        text = recipe.read_text("utf-8")
        notice(text)
        content = yaml.safe_load(text)
    except MarkedYAMLError:
        return  # Hydra says it, and knows the file of the group that it comes from
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(str(recipe), f"this is not YAML: {first_line(error)}", COPY) from None
    if not isinstance(content, dict):
        what = "it is empty" if content is None else f"it holds a {type(content).__name__}"
        raise ConfigError(str(recipe), f"{what}, and a recipe is a mapping of keys", COPY)
    if "defaults" not in content:
        raise without_base(content, recipe)


def refuse_packages(recipe: Path, overrides: Sequence[str]) -> None:
    """Refuse a search path that is no folder, before Hydra looks into it: a package is imported to be searched.

    Raises:
        ConfigError: a place in it is a package.
    """
    try:
        own = OmegaConf.select(OmegaConf.create(recipe.read_text("utf-8")), "hydra.searchpath") or ()
    except (yaml.YAMLError, OmegaConfBaseException, AttributeError):
        own = ()  # Hydra says why, before it searches
    typed = [override for override in overrides if override.lstrip("+").startswith("hydra.searchpath")]
    for place in (*map(str, own), *typed):
        if re.search(r"\$\{|\b(?!file:)\w+:", place):
            raise ConfigError("hydra.searchpath", f"{place}: a package may not be searched", "file://FOLDER")


def arms(recipe: Path, overrides: Sequence[str]) -> list[list[str]]:
    """Every combination of overrides that a multirun will try, in the basic sweeper's order.

    Raises:
        ConfigError: values can't be counted, and nothing chooses some of them.
    """
    choices = []
    for override, values in override_values(recipe, overrides):
        if override.is_sweep_override() and not override.is_discrete_sweep():
            reason = "these values can't be counted, and without a search every one of them would be tried"
            raise ConfigError(override.input_line or "multirun", reason, "search=tpe beside it, which chooses some")
        choices.append(values)
    return [list(combination) for combination in product(*choices)]


def corners(recipe: Path, overrides: Sequence[str]) -> list[list[str]]:
    """Arms that have, together, every value of each list and both ends of each range, varied one by one."""
    choices = [ends(override, values) for override, values in override_values(recipe, overrides)]
    first = [values[0] for values in choices]
    others = [[*first[:place], value, *first[place + 1 :]] for place, all in enumerate(choices) for value in all[1:]]
    return [first, *others]


def ends(override: Override, values: list[str]) -> list[str]:
    """The values of an override; of a range the first and the last."""
    of_range = override.is_sweep_override() and isinstance(override.value(), RangeSweep)
    return list(dict.fromkeys((values[0], values[-1]))) if of_range else values


def override_values(recipe: Path, overrides: Sequence[str]) -> list[tuple[Override, list[str]]]:
    """Each override with an override for each of its values; for both ends of a range that can't be counted."""
    with session(recipe) as name:
        composed(name, recipe, [])
        loader = GlobalHydra.instance().config_loader()
        try:
            every = meant(overrides, partial(composed, name, recipe))
            parsed = OverridesParser.create(config_loader=loader).parse_overrides(every)
        except HydraException as error:
            raise ConfigError("multirun", first_line(error)) from None
        return [(override, values_of(override)) for override in parsed]


def values_of(override: Override) -> list[str]:
    """Overrides, one for each value."""
    if not override.is_sweep_override():
        return [override.input_line or ""]
    key, value = override.get_key_element(), override.value()
    ends = (value.start, value.end) if isinstance(value, IntervalSweep) else override.sweep_string_iterator()
    return [f"{key}={each}" for each in ends]
