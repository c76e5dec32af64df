"""The keys and swaps of a composed recipe, and those of them that a mistyped one may have meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from omegaconf import DictConfig

from . import facts, plain_tree, schema
from .errors import nearest
from .options import choice


def swaps(config: DictConfig) -> list[str]:
    """What may be typed before `=OPTION` in a composed recipe: `peft@finetune.peft`."""
    return [str(swap) for swap in config.hydra.runtime.choices if not str(swap).startswith("hydra/")]


def overrides(config: DictConfig) -> list[str]:
    """What was typed to compose a recipe."""
    return [str(override) for override in plain_tree.plain(config.hydra.overrides.task, resolve=False)]


def dotted(value: object, path: str = "") -> Iterator[str]:
    """Dotted keys of a plain mapping, at every depth, without Hydra's own, facts of methods and what is left out."""
    for key, item in value.items() if isinstance(value, dict) else ():
        here = f"{path}.{key}" if path else str(key)
        if here != "hydra" and key != facts.KEY and not (item is None and key in schema.parts()):
            yield here
            yield from dotted(item, here)


def one_of(keys: Sequence[str], value: str) -> str:
    """What to type, where one or a few keys may have been meant."""
    return choice([f"{key}={value}" for key in keys])


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
