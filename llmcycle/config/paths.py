"""Where options and recipes are found, in a checkout, an editable install and a wheel alike."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from .errors import ConfigError, nearest

TARGET = re.compile(r"(?:_target_|path): (llmcycle\.[\w.]+)")
PACKAGE = Path(__file__).resolve().parent.parent


@cache
def shipped(folder: str) -> Path:
    """The shipped `conf` or `recipes`: inside the package in a wheel, beside it in a checkout."""
    for parent in (PACKAGE, PACKAGE.parent):
        if (parent / folder).is_dir():
            return parent / folder
    raise FileNotFoundError(f"llmcycle's own folder {folder!r} is missing from {PACKAGE}: install it again")


@cache
def recipes() -> list[str]:
    """Names of the shipped recipes, as typed after `llmcycle`."""
    root = shipped("recipes")
    return sorted(str(path.relative_to(root).with_suffix("")) for path in root.rglob("*.yaml"))


@cache
def shipped_targets() -> frozenset[str]:
    """Every name of ours that a shipped option or recipe calls or looks up."""
    files = [path for folder in ("conf", "recipes") for path in shipped(folder).rglob("*.yaml")]
    return frozenset(name for path in files for name in TARGET.findall(path.read_text("utf-8")))


def groups() -> dict[str, list[str]]:
    """Options of each group, shipped ones and those of the user's ./conf."""
    options: dict[str, set[str]] = {}
    for group, name in (*_shipped_options(), *_options(Path("conf"))):
        options.setdefault(group, set()).add(name)
    own = {str(path.relative_to("recipes").with_suffix("")) for path in Path("recipes").rglob("*.yaml")}
    options.setdefault("recipes", set()).update(recipes(), own)
    return {group: sorted(names) for group, names in sorted(options.items())}


@cache
def _shipped_options() -> list[tuple[str, str]]:
    return _options(shipped("conf"))


def _options(root: Path) -> list[tuple[str, str]]:
    """(group, option) of every file below a `conf`."""
    files = root.rglob("*.yaml") if root.is_dir() else ()
    return [(str(path.parent.relative_to(root)), path.stem) for path in files if path.parent != root]


def options(group: str) -> list[Path]:
    """The files of a group, those of the user's ./conf first."""
    return [path for root in (Path("conf"), shipped("conf")) for path in sorted(root.glob(f"{group}/*.yaml"))]


def locate(recipe: str) -> Path:
    """The file of a recipe: a shipped name (`finetune`, `smollm2/lifecycle`) or a path on the user's disk.

    Raises:
        ConfigError: nothing has that name; the nearest shipped recipe is suggested.
    """
    own = Path(recipe)
    for candidate in (
        (own, own.with_name(own.name + ".yaml")) if own.suffix in (".yaml", ".yml") else (Path(f"{recipe}.yaml"),)
    ):
        if candidate.is_file():
            return candidate.resolve()
    ours = shipped("recipes") / f"{recipe}.yaml"
    if ours.is_file():
        return ours
    if own.is_dir() and (own / "recipe.yaml").is_file():
        return (own / "recipe.yaml").resolve()
    near = nearest(recipe, recipes())
    remedy = f"llmcycle {near}" if near else "llmcycle ls recipes, or ./FILE.yaml for a recipe of your own"
    raise ConfigError(recipe, "no recipe has this name and no file this path", remedy)


def extended(recipe: str) -> str:
    """The shipped recipe that a shipped recipe extends; "" where it extends none, or is not shipped."""
    path = shipped("recipes") / f"{recipe}.yaml"
    match = re.search(r"[-\[]\s*/recipes/([^\s,]+)@_here_", path.read_text("utf-8")) if path.is_file() else None
    return match[1] if match else ""
