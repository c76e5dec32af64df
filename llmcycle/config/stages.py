"""Read a composed recipe: which stages it has, and what each of them is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from .errors import ConfigError
from .schema import PARTS, SCALARS

RESUME = ("auto", "never")  # the values of `resume` that change no result; any other is a checkpoint's folder
REFERENCE = re.compile(r"\$\{([^${}]+)\}")
ARTIFACT = "${artifact:"
# The groups whose option says what a stage did, the most telling first: a method for the table.
TELLING = ("quant", "loss", "reward", "peft", "prompt", "model", "stage")


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of a composed recipe, with what is read from it more than once.

    Args:
        root: the whole composition, which is not changed while this object lives.
        name: the stage's key in it; "" where the recipe is this one stage.
    """

    root: DictConfig
    name: str = ""

    @cached_property
    def node(self) -> DictConfig:
        """The mapping of the stage: the root itself for a recipe that runs alone."""
        node = self.root[self.name] if self.name else self.root
        assert isinstance(node, DictConfig)
        return node

    @property
    def title(self) -> str:
        """What its artifacts are called in the store."""
        return str(self.node.name)

    @property
    def label(self) -> str:
        """What the run calls it: its key in a lifecycle, else its title."""
        return self.name or self.title

    @cached_property
    def raw(self) -> dict[str, Any]:
        """A plain dict with its interpolations as written and its absent parts left out; not to be changed."""
        written = plain(self.node, resolve=False)
        checkpoint = () if written.get("resume") in (None, *RESUME) else ("resume",)
        keys = ("name", "seed", "inputs", *PARTS, *checkpoint)
        return {key: written[key] for key in keys if written.get(key) is not None}

    @property
    def inputs(self) -> dict[str, Any]:
        """Its inputs as written."""
        inputs = self.raw["inputs"]
        assert isinstance(inputs, dict)
        return inputs

    @cached_property
    def reads(self) -> set[tuple[str, ...]]:
        """All keys that building it reads, found by following references from the `stage` and `logger` nodes."""
        seen: set[tuple[str, ...]] = set()
        todo: list[Any] = [self.raw.get("stage"), self.raw.get("logger")]
        while todo:
            for reference in references(todo.pop()):
                if reference not in seen:
                    seen.add(reference)
                    todo.append(self.raw.get(reference[0]))
        return seen

    @cached_property
    def settled(self) -> dict[str, Any]:
        """Everything resolved; in the place of a sibling's artifact stands its name, which costs no hashing.

        Raises:
            ConfigError: an interpolation leads nowhere.
        """
        siblings = {key: sibling(value) for key, value in self.inputs.items()}
        try:
            return self.resolved({key: f"artifact-{other}" for key, other in siblings.items() if other})
        except InterpolationResolutionError as error:
            raise unresolved(self, error) from None
        except OmegaConfBaseException as error:
            raise ConfigError(str(error.full_key or self.name), str(error).splitlines()[0]) from None

    def dot(self, *keys: str) -> str:
        """A key of the stage as a user types it, `finetune.peft.r` of (peft, r) in a lifecycle; empty ones left out."""
        return ".".join(key for key in (self.name, *keys) if key)

    def swap(self, group: str) -> str:
        """What a user types before `=OPTION` to swap a part: `peft@finetune.peft` in a lifecycle, else `peft`."""
        return f"{group}@{self.dot(group)}" if self.name else group

    def method(self, choices: Mapping[str, str]) -> str:
        """The most telling option of `choices` (by `group@package`); without options, the class that is built."""
        for group in TELLING:
            choice = choices.get(self.swap(group))
            if choice is not None and (self.node.get(group) or choice == "none"):
                return {"none": "full"}.get(choice, choice)
            if choice is None and self.node.get(group) and "_target_" in self.node[group]:
                return str(self.node[group]["_target_"]).rpartition(".")[2].removesuffix("Config").lower()
        return ""

    def resolved(self, inputs: Mapping[str, str], digests: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The stage resolved after its inputs, and keys that name content, are replaced by what is given."""
        copy = Stage(self.root.copy(), self.name).node
        with open_dict(copy):
            copy.inputs = {**self.inputs, **inputs}
            for key, digest in (digests or {}).items():
                OmegaConf.update(copy, key, digest)
        parts = ((key, copy[key]) for key in self.raw)
        return {key: plain(part) if OmegaConf.is_config(part) else part for key, part in parts}


def of(root: DictConfig) -> list[Stage]:
    """Stages in the order in which they run; a recipe that is no lifecycle is a lifecycle of one."""
    return [Stage(root, name) for name in names(root)]


def names(root: DictConfig) -> list[str]:
    """Their names; that of the one stage of a recipe that runs alone is `""`."""
    return list(root.lifecycle) if root.get("lifecycle") else [""]


def present(root: DictConfig) -> list[str]:
    """Names of all stages that the recipe has, be they in its lifecycle or not."""
    return [str(key) for key in root if is_stage(root[key])]


def is_stage(value: Any) -> bool:
    """Whether a root key's value looks like a composed stage."""
    return isinstance(value, DictConfig) and "stage" in value and "inputs" in value


def sibling(value: Any) -> str | None:
    """NAME where `value` is exactly `${artifact:NAME}`."""
    if isinstance(value, str) and value.startswith(ARTIFACT) and value.endswith("}"):
        return value[len(ARTIFACT) : -1].strip()
    return None


def unresolved(stage: Stage, error: InterpolationResolutionError) -> ConfigError:
    """An interpolation of the stage that leads nowhere, in our words."""
    if isinstance(error.__cause__, ConfigError):
        return error.__cause__
    reason, key = str(error).splitlines()[0], str(error.full_key)
    if missing := re.search(r"Missing mandatory value: (\S+)", reason):
        return ConfigError(missing[1], f"it is missing, and {key} needs it", f"{missing[1]}=VALUE")
    if absent := re.search(r"Interpolation key '(\S+)' not found", reason):
        return ConfigError(key, f"it refers to {absent[1]}, which this recipe does not have", f"{stage.dot(key)}=VALUE")
    return ConfigError(key, reason)


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every (dotted path, string) of a plain container."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value


def references(value: Any) -> Iterator[tuple[str, ...]]:
    """Keys of the stage that relative interpolations in `value` point to: `${..inputs.model}` gives (inputs, model)."""
    for _, text in strings(value):
        for inner in REFERENCE.findall(text):
            target = inner.split(":", 1)[1] if inner.startswith("oc.dict") else inner
            if target.startswith("."):
                yield tuple(target.lstrip(".").split("."))


def targets(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every (dotted path, mapping) that holds a `_target_`, at any depth and inside lists."""
    if isinstance(value, dict):
        if "_target_" in value:
            yield path, value
        for key, item in value.items():
            yield from targets(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from targets(item, f"{path}[{index}]")


def plain(config: DictConfig | ListConfig, resolve: bool = True) -> Any:
    """A plain container of a node, missing values kept as "???"."""
    return OmegaConf.to_container(config, resolve=resolve, throw_on_missing=False)


def unknown_root_keys(root: DictConfig) -> list[str]:
    """Root keys that are neither run-wide, nor a stage's or its parts, nor read by one through `${key...}`."""
    known = {"hydra", "seed", "outputs", "lifecycle", *(() if root.get("lifecycle") else (*SCALARS, *PARTS))}
    read = {
        inner.partition(".")[0] for _, text in strings(plain(root, resolve=False)) for inner in REFERENCE.findall(text)
    }
    return [str(key) for key in root if key not in known | read and not is_stage(root[key])]
