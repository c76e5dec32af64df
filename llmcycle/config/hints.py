"""Hydra's complaints as ours: the key, the reason and what to type; never its advice to type `+key`, a dead key."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose as hydra_compose
from hydra.errors import OverrideParseException
from omegaconf import DictConfig

from . import facts, schema, stages
from .errors import ConfigError, choose, nearest
from .options import option
from .paths import extended, groups
from .stages import Stage
from .typed import in_quotes, parses

FEW = 4  # remedies in one line
CLOSING = ("]", "}", ")", '"', "'")


@dataclass(frozen=True)
class Complaint:
    """What Hydra refused (`subject`), its whole `text`, and the composition it was refused in."""

    subject: str
    text: str
    name: str
    recipe: Path
    overrides: Sequence[str]

    @property
    def key(self) -> str:
        """The key that was meant, without the sign before it."""
        return self.subject.partition("=")[0].lstrip("+~")

    def typed(self, key: str) -> str:
        """The value that was typed for a key."""
        parts = (override.partition("=") for override in self.overrides)
        return next((value for name, _, value in parts if name.lstrip("+~") == key), "")


def translate(error: Exception, name: str, recipe: Path, overrides: Sequence[str]) -> ConfigError:
    """What to tell a user instead of what Hydra or omegaconf said."""
    text = f"{error}\n{error.__cause__ or ''}"
    if isinstance(error, OverrideParseException):
        return syntax(Complaint(error.override, text, name, recipe, overrides))
    for pattern, make in RULES:
        if match := re.search(pattern, text, re.DOTALL):
            return make(Complaint(match.group(1), text, name, recipe, overrides))
    return ConfigError(str(recipe), first_line(error))


def first_line(error: Exception) -> str:
    """The first line of an error's text, which in Hydra says what and in omegaconf says why."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def bad_override(complaint: Complaint) -> ConfigError:
    """An override whose key the composition has no place for."""
    key = complaint.key
    if (deeper := re.search(r"full_key: (\S+)", complaint.text)) and deeper.group(1).startswith(f"{key}."):
        key = deeper.group(1)  # a mapping was given, and one of its keys is wrong
    config = hydra_compose(complaint.name, return_hydra_config=True)
    value = complaint.typed(complaint.key) or "VALUE"
    if "@" in key or "No match in the defaults list" in complaint.text or key in groups():
        return bad_group(key, value, complaint.name, config)
    known = list(dotted(stages.plain(config, resolve=False)))
    swap = option_with(key, value, config)
    near = by_parent(key, known) or ([] if swap else by_ending(key, known) or elsewhere(key, known))
    remedy = one_of(near, value) if near else f"{swap} {key}={value}" if swap else see(complaint.name)
    return ConfigError(key, "this recipe has no such key", remedy)


def swaps(config: DictConfig) -> list[str]:
    """What may be typed before `=OPTION` in a composed recipe: `peft@finetune.peft`."""
    return [str(choice) for choice in config.hydra.runtime.choices if not str(choice).startswith("hydra/")]


def overrides(config: DictConfig) -> list[str]:
    """What was typed to compose a recipe."""
    return [str(override) for override in config.hydra.overrides.task]


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
    return absent(package or group, name, value, known)


def absent(part: str, name: str, value: str, known: Sequence[str] = ()) -> ConfigError:
    """A part that the recipe leaves out: `part` is where it would stand, such as `finetune.generate`."""
    place, _, group = part.rpartition(".")
    config = hydra_compose(name, return_hydra_config=True)
    stage = Stage(config, place) if not place or stages.is_stage(config.get(place)) else None
    if stage is not None and stage.node.get("stage") and (group,) in stage.reads:
        return ConfigError(
            part, "this recipe leaves the part out; with a + it is added", f"+{stage.swap(group)}={value}"
        )
    choice = sorted({swap.partition("@")[0] for swap in known})
    return ConfigError(part, "this recipe has no such part", f"one of: {', '.join(choice)}" if choice else see(name))


def one_of(keys: Sequence[str], value: str) -> str:
    """What to type, where one or a few keys may have been meant."""
    typed = [f"{key}={value}" for key in keys]
    return typed[0] if len(typed) == 1 else f"one of: {', '.join(typed[:FEW])}{', ...' * (len(typed) > FEW)}"


def see(name: str) -> str:
    """Where all keys can be read."""
    return f"llmcycle {name} --cfg job, which shows every key"


def by_parent(key: str, known: Sequence[str]) -> list[str]:
    """The nearest key beside the one that was meant, where everything but its last part is right."""
    parent, _, last = key.rpartition(".")
    beside = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == parent]
    longer = [name for name in beside if last and name.startswith(f"{last}_")]  # `every` of `every_n_steps`
    near = longer[0] if len(longer) == 1 else nearest(last, beside)
    return [f"{parent}.{near}" if parent else near] if near else []


def by_ending(key: str, known: Sequence[str]) -> list[str]:
    """Keys that end as `key` does, in its own stage if there: `r=16` may have meant `peft.r=16`."""
    for ending in dict.fromkeys((key, key.rpartition(".")[2])):
        same = [path for path in known if path.endswith(f".{ending}")]
        own = [path for path in same if path.partition(".")[0] == key.partition(".")[0]]
        if same:
            return sorted(own or same, key=lambda path: path.count("."))
    return []


def elsewhere(key: str, known: Sequence[str]) -> list[str]:
    """A mistyped key: the one with the nearest last part in the same stage, or the nearest one on the whole."""
    stage, dot, _ = key.partition(".")
    own = [path for path in known if path.startswith(f"{stage}.")] if dot else known
    last = nearest(key.rpartition(".")[2], [path.rpartition(".")[2] for path in own])
    if last:
        return by_ending(last, own)[:1] or [last]
    near = nearest(key, known, cutoff=75)
    return [near] if near else []


FORMATS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".txt": "text", ".md": "text"}  # all others: json


def option_with(key: str, value: str, config: DictConfig) -> str:
    """The swap that brings a key: `data=json` for `data.train` where the recipe has other data; "" if none does.

    Where `value` is a file it is the option that reads its format.
    """
    place, _, last = key.rpartition(".")
    stage, _, group = place.rpartition(".")
    swap = f"{group}@{place}" if stage else group
    if not group or swap not in config.hydra.runtime.choices:
        return ""
    having = [name for name in groups()[group] if last in option(group, name)]
    endings = Path(value.strip("'\"")).suffixes
    named = next((FORMATS[ending] for ending in reversed(endings) if ending in FORMATS), "json")
    usual = next((choice for choice in (named, "json") if choice in having), next(iter(having), ""))
    return f"{swap}={usual}" if usual else ""


def dotted(value: object, path: str = "") -> Iterator[str]:
    """Dotted keys of a plain mapping, at every depth, without Hydra's own, facts of methods and what is left out."""
    for key, item in value.items() if isinstance(value, dict) else ():
        here = f"{path}.{key}" if path else str(key)
        if here != "hydra" and key != facts.KEY and not (item is None and key in schema.parts()):
            yield here
            yield from dotted(item, here)


def bad_merge(complaint: Complaint) -> ConfigError:
    """An override of the right key with an impossible value."""
    key, value = complaint.key, complaint.subject.partition("=")[2]
    if complaint.subject.startswith("~"):
        base = extended(complaint.name)
        remedy = f"llmcycle {base}, which does without it" if base else "llmcycle ls recipes, for one without it"
        return ConfigError(complaint.subject, "Hydra can't take away what leads to an artifact not known here", remedy)
    stage, _, part = key.rpartition(".")
    if part in groups():
        swap = f"{part}@{key}" if stage else part
        reason = f"it is a mapping, and `{value}` cannot stand for it: options are swapped by group"
        return ConfigError(key, reason, f"{swap}={value.strip('[]') or 'OPTION'}")
    return ConfigError(key, f"`{value}` is not possible here: {detail(complaint.text)}")


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


def bad_deletion(complaint: Complaint) -> ConfigError:
    """Something taken out that is not there, or that is a whole stage."""
    name = complaint.subject
    config = hydra_compose(complaint.name, return_hydra_config=True)
    if f"recipes@{name}" in swaps(config) and config.get("lifecycle"):
        rest = ",".join(stage for stage in config.lifecycle if stage != name)
        return ConfigError(f"~{name}", "it is a whole stage, which runs if lifecycle names it", f"lifecycle=[{rest}]")
    if name in swaps(config):
        return ConfigError(f"~{name}", "this recipe has another option there", f"~{name}, whichever it is")
    near = nearest(name, [*swaps(config), *dotted(stages.plain(config, resolve=False))])
    return ConfigError(f"~{name}", "this recipe has nothing of this name", f"~{near}" if near else see(complaint.name))


def no_option(complaint: Complaint) -> ConfigError:
    """An option file that does not exist."""
    group, _, option = complaint.subject.rpartition("/")
    available = groups().get(group.removeprefix("/"), [])
    typed = next((typed for typed in complaint.overrides if typed.endswith(f"={option}")), complaint.subject)
    if not available:
        return ConfigError(typed, f"there is no file {complaint.subject}.yaml", "llmcycle ls")
    near = choose(option, available)
    prefix = typed.rpartition("=")[0]
    remedy = f"{prefix}={near}" if prefix and not near.startswith("one of") else near
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
    empty = [typed for typed in complaint.overrides if typed.partition("=")[2].strip() in ("", "null")]
    typed = next((typed for typed in empty if typed.partition("=")[0].lstrip("+").partition("@")[0] in groups()), "")
    key = typed.partition("=")[0]
    names = groups().get(key.lstrip("+").partition("@")[0], [])
    remedy = f"{key}=none" if "none" in names else f"one of: {', '.join(names)}"
    return ConfigError(typed or str(complaint.recipe), "a group is swapped for an option, by its name", remedy)


def syntax(complaint: Complaint) -> ConfigError:
    """An override that is not `key=value`."""
    reason = "it can't be read as key=value; brackets, braces and quotes must be closed"
    key, sign, value = complaint.subject.partition("=")
    if not (sign and value and parses(whole := f"{key}={in_quotes(value)}")):
        return ConfigError(complaint.subject, reason, f"{complaint.key}=VALUE")
    closed = next((typed for mark in CLOSING if parses(typed := f"{key}={value}{mark}")), None)
    remedy = f"{shlex.quote(whole)}, where it is one text"
    return ConfigError(complaint.subject, reason, remedy if closed is None else f"{shlex.quote(closed)}, or {remedy}")


RULES = (
    (r"Ambiguous value for argument '([^']+)'", ambiguous),
    (r"Could not delete '([^'=]+)", bad_deletion),
    (r"Could not delete from config. '([^']+)' does not exist", bad_deletion),
    (r"Key '([^']+)' not in '\w+'", hydras_key),
    (r"Could not override '([^']+)'", bad_override),
    (r"Error merging override (\S+)", bad_merge),
    (r"Could not find '([^']+)'", no_option),
    (r"Cannot find primary config '([^']+)'", no_option),
    (r"Config group override must be (a string) or a list", no_name),
    (r"Error parsing override '([^']+)'", syntax),
)
