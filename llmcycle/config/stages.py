"""Read a composed recipe: which stages it has, and what each of them is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from .errors import ConfigError
from .facts import taken_off
from .paths import groups
from .plain_tree import Path, at, plain, reached, references
from .schema import SETTINGS

RESUME = ("auto", "never")  # the values of `resume` that change no result; any other is a checkpoint's folder
UNSET = (None, "???", "")
ARTIFACT = "${artifact:"
# Whether `${artifact:NAME}` resolves to `artifact-NAME`, for a check that need not know the artifact's id.
NAMES_ONLY = ContextVar("names_only", default=False)
# The groups whose option says what a stage did, the most telling first: a method for the table.
TELLING = ("quant", "loss", "reward", "peft", "prompt", "model", "stage")


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of a composed recipe, with what is read from it more than once.

    Args:
        root: the whole composition, which is not changed while this object lives.
        name: the stage's key in it; "" where the recipe is this one stage.
        known: the stages of the same composition that were looked at before, by name.
    """

    root: DictConfig
    name: str = ""
    known: dict[str, Stage] = field(default_factory=dict, repr=False)

    def beside(self, name: str) -> Stage:
        """Another stage of the same composition, which must have it."""
        if name not in self.known:
            self.known[name] = Stage(self.root, name, self.known)
        return self.known[name]

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
    def written(self) -> dict[str, Any]:
        """All its keys in a plain dict, interpolations as written; not to be changed."""
        return {str(key): value for key, value in plain(self.node, resolve=False).items() if key != "hydra"}

    @cached_property
    def raw(self) -> dict[str, Any]:
        """Of these what shapes the result: settings, inputs, and the parts that are read, without those left out."""
        checkpoint = () if self.written.get("resume") in (None, *RESUME) else ("resume",)
        parts = {"stage", "logger", *(path[0] for path in self.reads)} - SETTINGS.keys()
        keys = ("name", "seed", "inputs", *checkpoint, *(key for key in self.written if key in parts))
        return {key: self.written[key] for key in keys if self.written.get(key) is not None}

    @property
    def parts(self) -> dict[str, Any]:
        """Of `raw` what the stage is built from."""
        return {key: value for key, value in self.raw.items() if key not in SETTINGS}

    @property
    def inputs(self) -> dict[str, Any]:
        """Its inputs as written, those that have a value."""
        return {key: value for key, value in self._inputs.items() if value not in UNSET}

    @property
    def unset(self) -> list[str]:
        """Its inputs without a value: missing where a part reads them, else waiting for a part that does."""
        return [key for key, value in self._inputs.items() if value in UNSET]

    @property
    def _inputs(self) -> dict[str, Any]:
        """None in a file that is no stage yet, which is told by the check, and by `--help` not at all."""
        return self.written.get("inputs") or {}

    @cached_property
    def reads(self) -> set[Path]:
        """All its keys that building it reads: where references lead from `stage` and `logger`, and on from there."""
        return reached(self.written, [("stage",), ("logger",)])

    def readers(self, *path: str) -> list[str]:
        """Parts that refer to a key of the stage, such as ("inputs", "model")."""
        return [key for key, part in self.parts.items() if path in references(part, (key,))]

    @cached_property
    def settled(self) -> dict[str, Any]:
        """What is built, resolved; in the place of a sibling's artifact stands its name, which costs no hashing.

        Raises:
            ConfigError: an interpolation leads nowhere.
        """
        before = NAMES_ONLY.set(True)
        try:
            everything = resolved_parts(self.node, self.raw)
        except InterpolationResolutionError as error:
            raise unresolved(self, error) from None
        except OmegaConfBaseException as error:
            raise ConfigError(str(error.full_key or self.name), str(error).splitlines()[0]) from None
        finally:
            NAMES_ONLY.reset(before)
        return {key: taken_off(part) for key, part in everything.items()}

    def dot(self, *keys: str) -> str:
        """A key of the stage as a user types it, `finetune.peft.r` of (peft, r) in a lifecycle; empty ones left out."""
        return ".".join(key for key in (self.name, *keys) if key)

    def swap(self, group: str) -> str:
        """What a user types before `=OPTION` to swap a part: `peft@finetune.peft` in a lifecycle, else `peft`."""
        return f"{group}@{self.dot(group)}" if self.name else group

    @property
    def pretrained(self) -> bool:
        """Whether its model is loaded, not built from a configuration."""
        return "pretrained_model_name_or_path" in (self.node.get("model") or {})

    def method(self, choices: Mapping[str, str]) -> str:
        """The most telling option of `choices` (by `group@package`); without options, the class that is built."""
        for group in TELLING:
            choice = choices.get(self.swap(group))
            if (group, choice) == ("peft", "none") and not self.pretrained:
                continue  # all of a new model is trained: its architecture says more
            if choice is not None and (self.node.get(group) or choice == "none"):
                return {"none": "full"}.get(choice, choice)
            if choice is None and self.node.get(group) and "_target_" in self.node[group]:
                return str(self.node[group]["_target_"]).rpartition(".")[2].removesuffix("Config").lower()
        return ""

    def resolved(self, inputs: Mapping[str, str], digests: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The stage resolved after its inputs, and keys that name content, are replaced by what is given."""
        copy = Stage(self.root.copy(), self.name).node
        with open_dict(copy):
            copy.inputs = {**self.written["inputs"], **inputs}
            for key, digest in (digests or {}).items():
                OmegaConf.update(copy, key, digest)
        parts = resolved_parts(copy, self.raw)
        return {**parts, "inputs": {key: value for key, value in parts["inputs"].items() if value not in UNSET}}


def resolved_parts(node: DictConfig, keys: Iterable[str]) -> dict[str, Any]:
    """Some keys of a node as plain values."""
    parts = ((key, node[key]) for key in keys)
    return {key: plain(part) if OmegaConf.is_config(part) else part for key, part in parts}


def of(root: DictConfig) -> list[Stage]:
    """Stages in the order in which they run; a recipe that is no lifecycle is a lifecycle of one."""
    known: dict[str, Stage] = {}
    return [known.setdefault(name, Stage(root, name, known)) for name in names(root)]


def names(root: DictConfig) -> list[str]:
    """Their names; that of the one stage of a recipe that runs alone is `""`."""
    return list(root.lifecycle) if root.get("lifecycle") else [""]


def present(root: DictConfig) -> list[str]:
    """Names of all stages that the recipe has, be they in its lifecycle or not."""
    return [str(key) for key in root if is_stage(root.get(key))]


def is_stage(value: object) -> bool:
    """Whether a root key's value looks like a composed stage."""
    return isinstance(value, DictConfig) and "stage" in value and "inputs" in value


def sibling(value: object) -> str | None:
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
    absent = re.search(r"Interpolation key '(\S+)' not found", reason)
    if absent := absent or re.search(r"trying to access (\S+): node", reason):  # below a part that is empty
        part = absent[1].lstrip(".").partition(".")[0]
        left_out = stage.written.get(part) is None and part in groups()
        if left_out and (typed := typed_out(stage, part)):
            return ConfigError(typed, f"{key} refers to it: options are taken out by group", without(stage, part))
        remedy = f"+{stage.swap(part)}={usual(part)}" if left_out else f"{key}=VALUE"
        if part == "inputs":
            remedy = f"+{stage.dot(absent[1].lstrip('.'))}=FOLDER, an artifact's id or a Hub name"
        return ConfigError(key, f"it refers to {absent[1]}, which this recipe does not have", remedy)
    empty = {place[0] for place in references(stage.written) if stage.written.get(place[0], 0) is None}
    near = next((part for part in sorted(empty & groups().keys()) if f"{part}}}" in str(written_at(stage, key))), "")
    if near:
        return ConfigError(key, f"it refers to {near}, which is left out", f"{stage.swap(near)}={usual(near)}")
    return ConfigError(key, reason)


def typed_out(stage: Stage, part: str) -> str:
    """What was typed to take a part out by its key, after which nothing is left to refer to; "" where nothing was."""
    hydra, key = stage.root.get("hydra"), f"~{stage.dot(part)}"
    typed = map(str, plain(hydra.overrides.task, resolve=False) if hydra else ())
    return key if any(override.partition("=")[0] == key for override in typed) else ""


def without(stage: Stage, part: str) -> str:
    """How a part is left out: a group of which one option is chosen, or a list of options."""
    swap = stage.swap(part)
    return f"~{swap}" if swap in stage.root.hydra.runtime.choices else f"{swap}=[]"


def written_at(stage: Stage, key: str) -> Any:
    """What is written at a full key."""
    return at(stage.written, tuple(key.removeprefix(f"{stage.name}.").split(".")))


def usual(group: str) -> str:
    """An option of a group to begin with."""
    names = groups()[group]
    return next((name for name in ("default", "none", "adamw", "lora") if name in names), names[0])
