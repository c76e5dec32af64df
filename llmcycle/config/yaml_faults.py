"""What is wrong with a recipe's file itself: each fault of YAML, and of Hydra's defaults list, has its own remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.error import MarkedYAMLError

from .errors import ConfigError, nearest
from .paths import groups

# What the parser says, and what to do. Braces name the parts of what it says.
REMEDIES = (
    (r"found duplicate key (\S+)", "all of it under one `{0}:`"),
    (r"found character '\\t'", "spaces before a key, in the place of tabs"),
    (
        r"mapping values are not allowed here",
        'spaces before a key as its neighbours have, or NAME: "a text: in quotes"',
    ),
    (r"expected ',' or '([\]}])'", "a `{0}` at the end of the list or mapping that begins on the line above"),
    (r"found unexpected end of stream|while scanning a quoted scalar", "the quotation mark that ends the text"),
    (r"could not find expected ':'", "NAME: VALUE, with a colon and a space"),
    (r"found character '([`@%])'", "the value in quotes"),
    (r"found undefined alias", 'the value in quotes: "*..."'),
)
ANY = 'in {...}, quote "???" and "${...}"'
BEGIN = "defaults: [/recipes/finetune@_here_, _self_] at the beginning"


def not_yaml(error: MarkedYAMLError, recipe: Path) -> ConfigError:
    """What the parser found, with the file, the line and what to write there."""
    begins = "could not find expected ':'" in str(error.problem)  # found only where the next line begins
    mark = (error.context_mark if begins else None) or error.problem_mark or error.context_mark
    where = f"{mark.name}:{mark.line + 1}" if mark else str(recipe)
    said = f"{error.problem or ''}"
    for pattern, remedy in REMEDIES:
        if match := re.search(pattern, said):
            return ConfigError(where, f"this is not YAML: {said}", remedy.format(*match.groups()))
    return ConfigError(where, f"this is not YAML: {said}", ANY)


def in_defaults(text: str, recipe: Path, overrides: Sequence[str]) -> ConfigError | None:
    """What Hydra says of an entry in the file's own list of defaults; None where it speaks of something else."""
    typed = {override.lstrip("+~").partition("=")[0].partition("@")[0] for override in overrides}
    match = re.search(r"Could not override '(\w[\w/]*)(?:@\S*)?'\. No match in the defaults list", text)
    if match and match[1] not in typed:
        near = nearest(match[1], list(groups()))
        reason = f"its defaults override `{match[1]}`, which the recipes before it do not have"
        return ConfigError(str(recipe), reason, f"override /{near}: OPTION" if near else "llmcycle ls, for all groups")
    if match := re.search(r"Override '(\S+) : \S+' is defined before '(\S+): \S+'", text):
        return ConfigError(str(recipe), f"`override {match[1]}` stands before `{match[2]}`", "overrides at the end")
    return None


def other_kind(text: str, recipe: Path) -> ConfigError | None:
    """A list where the recipe has a mapping; omegaconf does not say at which key."""
    if not re.search(r"Cannot merge DictConfig with ListConfig", text):
        return None
    content = yaml.safe_load(recipe.read_text("utf-8"))
    lists = [key for key in _lists(content, "") if key != "defaults"]
    key = lists[0] if len(lists) == 1 else str(recipe)
    which = "it is" if len(lists) == 1 else f"one of {', '.join(lists)} is"
    return ConfigError(
        key, f"{which} a list, and a mapping is needed", f"{lists[0] if lists else 'KEY'}: {{NAME: VALUE}}"
    )


def without_base(content: Mapping[str, Any], recipe: Path) -> ConfigError:
    """A file that builds on nothing has no stage, no seed and no store."""
    reason = "it has no defaults" if "defaults" not in content else "its defaults lead to no recipe and no /base"
    return ConfigError(str(recipe), f"{reason}, so it is no recipe that can run", BEGIN)


def _lists(content: Any, key: str) -> Iterator[str]:
    if isinstance(content, list):
        yield key
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _lists(value, f"{key}.{name}" if key else str(name))
