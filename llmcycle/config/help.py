"""What `llmcycle RECIPE --help` says: what the recipe does, what it needs, what can be swapped, and examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig

from . import stages
from .paths import groups

WIDTH = 88  # characters of a line
WORLD, SHIPPED = "world", "storefront"  # the group, and the option that its readers bring


def describe(root: DictConfig, recipe: Path, name: str) -> str:
    """The help of a composed recipe.

    Args:
        recipe: its file, whose first comments say what it does.
        name: how it was typed.
    """
    comments = [line.lstrip("# ") for line in recipe.read_text("utf-8").splitlines() if line.startswith("#")]
    about = [line for line in comments if not line.startswith("@package")]
    return "\n".join([*about, "", *needs(root), *parts(root), *examples(root, name)])


def needs(root: DictConfig) -> Iterator[str]:
    """Inputs that have no value yet."""
    missing = [stage.dot("inputs", key) for stage in stages.of(root) for key in stage.unset]
    if missing:
        yield "needs (a folder, an artifact's id or a Hub name):"
        yield from (f"  {key}=..." for key in missing)
        yield ""


def parts(root: DictConfig) -> Iterator[str]:
    """What is composed now, and options that may stand in its place; of a lifecycle the recipes of its stages."""
    known = groups()
    choices = {str(key): str(choice) for key, choice in root.hydra.runtime.choices.items()}
    shown = {key: choice for key, choice in choices.items() if key.startswith("recipes@") or not root.get("lifecycle")}
    shown = {key: choice for key, choice in shown.items() if not key.startswith("hydra/")}
    if root.get(WORLD):  # comes with what reads it, and not by a swap
        shown[WORLD] = choices.get(WORLD, SHIPPED)
    width = max(map(len, shown), default=0)
    yield "composed of (swap with GROUP=OPTION; `llmcycle ls GROUP` lists all options):"
    for key, choice in shown.items():
        others = [option for option in known.get(key.partition("@")[0], []) if option != choice]
        yield f"  {key:<{width}}  {choice}{among(others, WIDTH - width - len(choice))}"
    yield ""


def among(options: Sequence[str], room: int) -> str:
    """As many options as there is room for, in words."""
    if not options:
        return ""
    fitting = [place for place in range(1, len(options) + 1) if len(", ".join(options[:place])) <= room]
    count = fitting[-1] if fitting else 1
    more = f", ... {len(options) - count} more" if count < len(options) else ""
    return f"  (or {', '.join(options[:count])}{more})"


def examples(root: DictConfig, name: str) -> Iterator[str]:
    """Commands to type."""
    trained = next((stage for stage in stages.of(root) if stage.node.get("trainer")), None)
    setting = f"{trained.dot('trainer', 'max_steps')}=50" if trained else "seed=1"
    yield "examples:"
    yield from (
        f"  llmcycle {words:<{len(name) + len(setting) + 2}}  {what}"
        for words, what in {
            f"{name} {setting}": "change a setting",
            f"{name} --cfg job": "show every setting",
            f"{name} -m seed=0,1,2": "run it with several values",
            f"check {name}": "only check it",
            f"cp {name} mine.yaml": "a recipe of your own to edit",
        }.items()
    )
