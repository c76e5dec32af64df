"""Hydra's complaints as ours: the key, the reason and what to type; never its advice to type `+key`, a dead key."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra.errors import OverrideParseException
from omegaconf import DictConfig

from . import plain_tree
from .allow import resolve
from .annotations import parameter_types
from .complaint import Complaint
from .deletions import bad_deletion, other_value
from .errors import ConfigError, nearest
from .near import by_ending, by_parent, dotted, elsewhere, one_of, see, swaps
from .nested import is_node
from .options import choice, option
from .other_recipes import absent, with_input
from .paths import groups
from .plugins import PLUGINS
from .schema import OF_RUNS
from .typed import as_typed, in_quotes, in_shell, parses

FEW = 4  # keys beside a wrong one
CLOSING = ("]", "}", ")", '"', "'")


def translate(error: Exception, name: str, recipe: Path, overrides: Sequence[str]) -> ConfigError:
    """What to tell a user instead of what Hydra or omegaconf said."""
    text, overrides = f"{error}\n{error.__cause__ or ''}", [as_typed(override) for override in overrides]
    if isinstance(error, OverrideParseException):
        return syntax(Complaint(error.override, text, name, recipe, overrides))
    for pattern, make in RULES:
        if match := re.search(pattern, text, re.DOTALL):
            return make(Complaint(as_typed(match.group(1)), text, name, recipe, overrides))
    return ConfigError(str(recipe), first_line(error))


def first_line(error: Exception) -> str:
    """The first line of an error's text, which in Hydra says what and in omegaconf says why."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def bad_override(complaint: Complaint) -> ConfigError:
    """An override whose key the composition has no place for."""
    key = complaint.key
    if (deeper := re.search(r"full_key: (\S+)", complaint.text)) and deeper.group(1).startswith(f"{key}."):
        return bad_entry(complaint, deeper.group(1))
    config = hydra_compose(complaint.name, return_hydra_config=True)
    value = complaint.typed(complaint.key) or "VALUE"
    if "@" in key or "No match in the defaults list" in complaint.text or key in groups():
        return bad_group(key, value, complaint.name, config)
    tree = plain_tree.plain(config, resolve=False)
    if blocked := no_mapping(key, tree):
        return blocked
    if other := with_input(complaint, key, config):
        return ConfigError(key, "this recipe has no such input", other)
    known = list(dotted({**tree, **of_run(complaint)}))
    swap = option_with(key, value, config)
    added = addition(key, value, config)
    near = [] if added else by_parent(key, known) or ([] if swap else by_ending(key, known) or elsewhere(key, known))
    remedy = added or (one_of(near, value) if near else f"{swap} {key}={value}" if swap else see(complaint.name))
    return ConfigError(key, "this recipe has no such key", remedy)


def of_run(complaint: Complaint) -> dict[str, Any]:
    """The options of the whole run that were typed, which Hydra adds to what the recipe's own file composes."""
    typed = {group: complaint.typed(group) for group in OF_RUNS}
    return {group: option(group, name) for group, name in typed.items() if name}


def no_mapping(key: str, tree: dict[str, Any]) -> ConfigError | None:
    """A part above the key in whose place a file has a text or a number."""
    above = key.split(".")[:-1]
    for depth in range(1, len(above) + 1):
        value = plain_tree.at(tree, tuple(above[:depth]))
        if isinstance(value, str | int | float) and not str(value).startswith("${"):
            where = ".".join(above[:depth])
            return ConfigError(
                where, f"a mapping is needed here, and this is {value!r}", f"{above[depth - 1]}: {{NAME: VALUE}}"
            )
    return None


def bad_entry(complaint: Complaint, key: str) -> ConfigError:
    """A mapping that was typed, one of whose keys is wrong."""
    config = hydra_compose(complaint.name, return_hydra_config=True)
    tree = plain_tree.plain(config, resolve=False)
    known = list(dotted(tree))
    near = by_parent(key, known) or [path for path in known if path.rpartition(".")[0] == key.rpartition(".")[0]][:FEW]
    typed = [f"{path}={in_shell(plain_tree.at(tree, tuple(path.split('.'))))}" for path in near]
    return ConfigError(key, "this recipe has no such key", choice(typed) or see(complaint.name))


def addition(key: str, value: str, config: DictConfig) -> str:
    """An argument that a part takes and that nobody has set, which is added by a `+`; "" where the part takes none."""
    place, _, name = key.rpartition(".")
    node = plain_tree.at(plain_tree.plain(config, resolve=False), tuple(place.split(".")))
    if not is_node(node):
        return ""
    try:
        of = parameter_types(resolve(node["_target_"], key))
    except ConfigError:
        return ""
    return f"+{key}={value}" if name in of else ""


def bad_group(key: str, value: str, name: str, config: DictConfig) -> ConfigError:
    """A swap of a group that the recipe does not compose under this name."""
    known = swaps(config)
    group, _, package = key.partition("@")
    same = [swap for swap in known if swap.partition("@")[0] == group]
    if not package and (stage := f"recipes@{group}") in known:
        return ConfigError(key, "it is a whole stage, which is swapped for another recipe", f"{stage}={value}")
    near = nearest(key, [*same, *known] if package else known)
    if same and not package:
        return ConfigError(key, "several stages have one: say which is meant", one_of(same, value))
    if near:
        return ConfigError(key, "this recipe has no such option group", f"{near}={value}")
    return absent(package or group, name, value)


FORMATS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".txt": "text", ".md": "text"}  # all others: json


def option_with(key: str, value: str, config: DictConfig) -> str:
    """The swap that brings a key: `data=json` for `data.train` where the recipe has other data; "" if none does.

    Where `value` is a file it is the option that reads its format.
    """
    place, _, last = key.rpartition(".")
    stage, _, group = place.rpartition(".")
    swap = f"{group}@{place}" if stage else group
    if not group or group == "stage" or swap not in config.hydra.runtime.choices:
        return ""  # with another `stage` it would be another recipe
    having = [name for name in groups()[group] if last in option(group, name)]
    endings = Path(value.strip("'\"")).suffixes
    named = next((FORMATS[ending] for ending in reversed(endings) if ending in FORMATS), "json")
    usual = next((name for name in (named, "json") if name in having), next(iter(having), ""))
    return f"{swap}={usual}" if usual else ""


def bad_merge(complaint: Complaint) -> ConfigError:
    """An override of the right key with an impossible value."""
    key, value = complaint.key, complaint.subject.partition("=")[2]
    stage, _, part = key.rpartition(".")
    if part in groups():
        swap = f"{part}@{key}" if stage else part
        reason = f"it is a mapping, and `{value}` cannot stand for it: options are swapped by group"
        return ConfigError(key, reason, f"{swap}={value.strip('[]') or 'OPTION'}")
    return not_possible(complaint, key, value)


def not_possible(complaint: Complaint, key: str, value: str) -> ConfigError:
    """A value of another kind than the recipe's own, which is what may be typed instead."""
    config = hydra_compose(complaint.name, return_hydra_config=True)
    own = plain_tree.at(plain_tree.plain(config, resolve=False), tuple(key.split(".")))
    kind = "a list" if isinstance(own, list) else "a mapping" if isinstance(own, dict) else ""
    said = f"{kind} is needed here, and `{value}` is none" if kind else f"`{value}` is not possible: "
    reason = said if kind else said + detail(complaint.text)
    return ConfigError(key, reason, f"{key}={in_shell(own)}" if own is not None else see(complaint.name))


def already_there(complaint: Complaint) -> ConfigError:
    """A key with a `+` before it that the recipe has; the `+` adds what it does not have."""
    key, value = complaint.subject, complaint.typed(complaint.subject)
    return ConfigError(f"+{key}", "this recipe has it, and a + adds what it does not have", f"{key}={value}")


def hydras_key(complaint: Complaint) -> ConfigError:
    """A key of a file that Hydra's own node does not have."""
    full = re.search(r"full_key: (\S+)", complaint.text)
    key = full[1] if full else complaint.subject
    return ConfigError(key, "Hydra has no such key", f"llmcycle {complaint.name} --cfg hydra, which shows its keys")


def detail(text: str) -> str:
    """What omegaconf said about a value, without its object dump."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    facts = [line for line in lines[1:] if not line.startswith(("full_key", "object_type", "reference_type"))]
    return facts[0].removeprefix("ConfigError raised while resolving interpolation: ") if facts else lines[0]


def no_option(complaint: Complaint) -> ConfigError:
    """An option file that does not exist."""
    group, _, option = complaint.subject.rpartition("/")
    available = groups().get(group.removeprefix("/"), [])
    entry = re.compile(rf"[=\[,]{re.escape(option)}(?=[,\]]|$)")  # of a list, or alone
    swapped = [typed for typed in complaint.overrides if entry.search(typed)]
    typed = next(iter(swapped), complaint.subject)
    if plugin := PLUGINS.get(complaint.subject.removeprefix("/")):
        return ConfigError(typed, f"it needs {plugin[0]}", plugin[1])
    if not available:
        return ConfigError(typed, f"there is no file {complaint.subject}.yaml", "llmcycle ls")
    near, prefix = nearest(option, available), typed.rpartition("=")[0]
    if prefix:
        start = entry.search(typed)
        place = start.start() + 1 if start else len(prefix) + 1
        head, tail = typed[:place], typed[place + len(option) :]
        remedy = choice([f"{head}{name}{tail}" for name in ([near] if near else available)])
    else:
        remedy = near or f"one of: {', '.join(available)}"
    return ConfigError(typed, f"`{group}` has no option `{option}`", remedy)


def ambiguous(complaint: Complaint) -> ConfigError:
    """Several values with commas between them, where one is meant or a sweep."""
    key, value = complaint.key, complaint.subject.partition("=")[2]
    every = f"llmcycle {complaint.name} -m {' '.join(complaint.overrides)}"
    if key.lstrip("+").partition("@")[0] in groups():
        return ConfigError(complaint.subject, "several options, and one is needed; -m runs each of them", every)
    whole = f"'{key}=\"{value}\"' for one text with commas, '{key}=[{value}]' for a list, or -m to run each of them"
    return ConfigError(complaint.subject, "with its commas it may mean several things", whole)


def no_name(complaint: Complaint) -> ConfigError:
    """A group swapped for something that is no name: `peft=null`."""
    swapped = [typed for typed in complaint.overrides if group_of(typed) in groups()]
    typed = next((typed for typed in swapped if not is_word(typed.partition("=")[2])), "")
    if not typed:
        return ConfigError(str(complaint.recipe), "an entry of its defaults is swapped for no name", "llmcycle ls")
    key, _, value = typed.partition("=")
    names = groups()[group_of(typed)]
    remedy = f"{key}=none" if "none" in names and value in ("", "null") else choice([f"{key}={name}" for name in names])
    return ConfigError(typed, "a group is swapped for an option, by its name", remedy)


def group_of(override: str) -> str:
    """The group that an override would swap, if it is one."""
    return override.partition("=")[0].lstrip("+").partition("@")[0]


def is_word(value: str) -> bool:
    """Whether Hydra reads a value as a text."""
    return bool(re.fullmatch(r"(?!(null|true|false)$)[A-Za-z_][\w/.-]*", value))


def syntax(complaint: Complaint) -> ConfigError:
    """An override that is not `key=value`."""
    reason = "it can't be read as key=value; brackets, braces and quotes must be closed"
    key, sign, value = complaint.subject.partition("=")
    if not sign:
        return stray(complaint.subject, complaint.name)
    if not (sign and value and parses(whole := f"{key}={in_quotes(value)}")):
        return ConfigError(complaint.subject, reason, f"{complaint.key}=VALUE")
    closed = next((typed for mark in CLOSING if parses(typed := f"{key}={value}{mark}")), None)
    remedy = f"{shlex.quote(whole)}, where it is one text"
    return ConfigError(complaint.subject, reason, remedy if closed is None else f"{shlex.quote(closed)}, or {remedy}")


def stray(word: str, name: str) -> ConfigError:
    """A word that is no override: the name of an option, of a key or of a recipe, without what belongs to it."""
    reason = "an override has the form key=value"
    config = hydra_compose(name, return_hydra_config=True)
    here = {swap: groups().get(swap.partition("@")[0], []) for swap in swaps(config)}
    tree = plain_tree.plain(config, resolve=False)
    own = plain_tree.at(tree, tuple(word.split(".")))
    if own is not None and not isinstance(own, dict):
        return ConfigError(word, reason, f"{word}={in_shell(own)}")
    if word in groups()["recipes"]:
        return ConfigError(word, "it is another recipe, and one is run at a time", f"llmcycle {word}")
    for like in (word, nearest(word, [each for names in here.values() for each in names])):
        if typed := [f"{swap}={like}" for swap, names in here.items() if like in names]:
            return ConfigError(word, reason, choice(typed))
    near = next(iter(elsewhere(word, list(dotted(tree)))), "")
    own = plain_tree.at(tree, tuple(near.split(".")))
    return ConfigError(word, reason, f"{near}={in_shell(own)}" if near else see(name))


RULES = (
    (r"Ambiguous value for argument '([^']+)'", ambiguous),
    (r"Could not delete '([^'=]+)", bad_deletion),
    (r"Could not delete from config. '([^']+)' does not exist", bad_deletion),
    (r"deletion value must be a string .*input_line='([^']+)'", bad_deletion),
    (r"Could not delete from config. The value of '([^']+)'", other_value),
    (r"Key '([^']+)' not in '\w+'", hydras_key),
    (r"An item is already at '([^']+)'", already_there),
    (r"Could not override '([^']+)'", bad_override),
    (r"Error merging override (\S+)", bad_merge),
    (r"Could not find '([^']+)'", no_option),
    (r"Could not load '([^']+)'", no_option),
    (r"Cannot find primary config '([^']+)'", no_option),
    (r"Config group override must be (a string) or a list", no_name),
    (r"Error parsing override '([^']+)'", syntax),
)
