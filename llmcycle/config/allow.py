"""Default-deny: which callables a recipe may name. YAML is data that people share, so it must not reach `os.system`.

A name is judged by what it resolves to, never by how it is spelled: `torch.optim.optimizer.torch.load` is `torch.load`.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from enum import Enum
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from .errors import ConfigError, nearest
from .paths import shipped_targets

# Packages that may be imported at all in search of a target; anything else is refused unimported.
ROOTS = {
    "llmcycle",
    "torch",
    "torchao",
    "transformers",
    "peft",
    "pytorch_lightning",
    "datasets",
    "tokenizers",
    "hydra",
    "optuna",
}
# Parts of packages that may be searched, where the rest may not; of `trl.rewards` its reward functions are allowed.
BRANCHES = ("trl.rewards",)
# Whole families: every class that derives from one of these, in its own library.
FAMILIES = (
    "torch.optim.Optimizer",
    "torch.optim.lr_scheduler.LRScheduler",
    "torchao.core.config.AOBaseConfig",
    "torchao.quantization.granularity.Granularity",
    "transformers.PretrainedConfig",
    "transformers.LogitsProcessor",
    "peft.PeftConfig",
    "pytorch_lightning.Callback",
    "pytorch_lightning.LightningModule",
    "pytorch_lightning.LightningDataModule",
    "pytorch_lightning.loggers.Logger",
    "pytorch_lightning.strategies.Strategy",
    "pytorch_lightning.profilers.Profiler",
)
# The same of a library that most recipes do without: by the names that its base classes have where they are defined.
LATE_FAMILIES = ("optuna.samplers._base.BaseSampler", "optuna.pruners._base.BasePruner")
# Single callables, by what they are.
SINGLES = (
    "pytorch_lightning.Trainer",
    # What LoRA's variants are told beside LoRA's own settings: plain data, though no PeftConfig.
    "peft.BdLoraConfig",
    "peft.EvaConfig",
    "peft.KasaConfig",
    "peft.LoftQConfig",
    "peft.LoraGAConfig",
    "peft.MontecloraConfig",
    "peft.VeloraConfig",
    "peft.tuners.lora.config.CordaConfig",
    "transformers.GenerationConfig",
    "transformers.TorchAoConfig",
    "transformers.BitsAndBytesConfig",
    "transformers.AutoTokenizer.from_pretrained",
    "transformers.AutoConfig.from_pretrained",
    "transformers.AutoConfig.for_model",
    "transformers.AutoModelForCausalLM.from_pretrained",
    "transformers.AutoModelForMaskedLM.from_pretrained",
    "transformers.AutoModelForSequenceClassification.from_pretrained",
    "transformers.get_scheduler",
    "transformers.get_constant_schedule",
    "transformers.get_constant_schedule_with_warmup",
    "transformers.get_linear_schedule_with_warmup",
    "transformers.get_cosine_schedule_with_warmup",
    "transformers.get_cosine_with_min_lr_schedule_with_warmup",
    "transformers.get_wsd_schedule",
)
# Our own rooms that a recipe builds nothing of: they run, write and remove things.
INTERNAL = (
    *("llmcycle.config", "llmcycle.cli", "llmcycle.guard", "llmcycle.verbs", "llmcycle.run", "llmcycle.api"),
    *(
        "llmcycle.stage_run",
        "llmcycle.building",
        "llmcycle.left",
        "llmcycle.completion",
        "llmcycle.estimate",
        "llmcycle.surroundings",
        "llmcycle.command_line",
        "llmcycle.launchers",
        "llmcycle.search.run",
        "llmcycle.search.sweep",
        "llmcycle.search.trials",
        "llmcycle.references",
        "llmcycle.verb_arguments",
        "llmcycle.store_verbs",
        "llmcycle.catalogue",
    ),
    *("llmcycle.lifecycle", "llmcycle.artifact", "llmcycle.log", "llmcycle.worker", "llmcycle.processes"),
    *("llmcycle.files", "llmcycle.preview", "llmcycle.report", "llmcycle.comparison"),
    *("llmcycle.deploy.serving", "llmcycle.deploy.terminal", "llmcycle.train.checkpoint_folder"),
    *("llmcycle.web", "llmcycle.feedback"),
)
# Functions that look a further name up: that name is judged like a target.
LOOKUPS = ("hydra.utils.get_object", "hydra.utils.get_method", "hydra.utils.get_class")
# Arguments that make a harmless loader run code from elsewhere.
FORBIDDEN_ARGUMENTS = ("trust_remote_code", "custom_generate")

_extra: set[str] = set()


def allowed() -> set[str]:
    """Modules that `allow` has added."""
    return set(_extra)


def allow(name: str) -> None:
    """Let recipes name a dotted module or callable: from Python, by `--allow NAME`, or through an entry point.

    Its module may lie in the folder where one works, as with `python -m`; whatever is installed goes before it.
    """
    _extra.add(name)
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)


@cache
def from_entry_points() -> frozenset[str]:
    """Names that installed packages add through the entry-point group `llmcycle.allow`."""
    return frozenset(point.value for point in entry_points(group="llmcycle.allow"))


def extra() -> set[str]:
    """Everything that the user or an installed package has allowed."""
    return _extra | from_entry_points()


def permitted(name: str, among: Iterable[str]) -> bool:
    """Whether dotted `name` is, or lies inside, one of `among`."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in among)


def resolve(name: str, key: str) -> Any:
    """The object that a dotted `name` stands for, importing only packages that may be searched.

    Raises:
        ConfigError: the package may not be searched, or there is nothing of this name (the nearest is suggested).
    """
    root = name.partition(".")[0]
    if root not in ROOTS and not permitted(name, {*BRANCHES, *extra()}):
        raise refusal(name, key)
    parts = name.split(".")
    target = imported(root, name, key)
    for cut, part in enumerate(parts[1:], start=1):
        # As Hydra does it: an attribute first, a submodule only where there is no such attribute.
        if not hasattr(target, part) and inspect.ismodule(target):
            target = imported(".".join(parts[: cut + 1]), name, key, parent=target)
        elif not hasattr(target, part):
            raise ConfigError(key, f"{name} does not exist", suggestion(target, part))
        else:
            target = getattr(target, part)
    return target


def imported(module: str, name: str, key: str, parent: object = None) -> Any:
    """The module, imported on the way to `name`.

    Raises:
        ConfigError: there is no such module, or it needs one that is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and not f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(key, f"{name} needs the package {error.name}, which is not installed") from error
        remedy = suggestion(parent, module.rpartition(".")[2]) if parent else ""
        raise ConfigError(key, f"{name} does not exist", remedy) from None


def suggestion(parent: Any, part: str) -> str:
    """The nearest public attribute of `parent`, fully named; "" when none is near."""
    near = nearest(part, [attribute for attribute in dir(parent) if not attribute.startswith("_")])
    prefix = parent.__name__ if inspect.ismodule(parent) else f"{parent.__module__}.{parent.__qualname__}"
    return f"{prefix}.{near}" if near else ""


def qualified(target: object) -> str:
    """Where an object was really defined: module and qualified name."""
    if isinstance(target, type) or inspect.isroutine(target):
        function = getattr(target, "__func__", target)
        return f"{function.__module__}.{function.__qualname__}"
    return f"{type(target).__module__}.{type(target).__qualname__} object"


@cache
def families() -> tuple[type, ...]:
    """The base classes of FAMILIES, imported."""
    return tuple(resolve(name, name) for name in FAMILIES)


@cache
def singles() -> tuple[Any, ...]:
    """The callables of SINGLES, imported."""
    return tuple(resolve(name, name) for name in SINGLES)


def is_single(target: object) -> bool:
    """Whether `target` is one of SINGLES: the same function bound to the same class."""
    return any(target == single for single in singles())


def is_ours(name: str, target: object) -> bool:
    """Whether `target` is a part of llmcycle: a class of the rooms that parts come from, or a function that an option
    of ours names. All other functions are out of reach, since some write or remove files.
    """
    if isinstance(target, type):
        defined = qualified(target)
        return defined.startswith("llmcycle.") and not permitted(defined, INTERNAL)
    return name in shipped_targets()


def is_family(target: object) -> bool:
    """Whether `target` is a class of a permitted family, defined in a package that may be searched."""
    if not isinstance(target, type):
        return False
    known = issubclass(target, families()) or any(qualified(base) in LATE_FAMILIES for base in target.__mro__)
    return known and target.__module__.partition(".")[0] in ROOTS


def is_reward(target: Any) -> bool:
    """Whether `target` is a function that `trl.rewards` offers as its own: it scores texts, or makes what does."""
    offered = inspect.isfunction(target) and target.__module__.startswith("trl.rewards.")
    return offered and getattr(importlib.import_module("trl.rewards"), target.__name__, None) is target


def is_extra(name: str, target: object) -> bool:
    """Whether the user allowed it, by the name written or by where it is defined."""
    return permitted(qualified(target), extra()) or (permitted(name, extra()) and callable(target))


def check_target(name: str, key: str) -> Callable[..., Any]:
    """The callable that `name` stands for, if recipes may call it.

    Raises:
        ConfigError: it may not be called, does not exist or is not callable.
    """
    target = resolve(name, key)
    judged = (is_ours(name, target), is_single(target), is_family(target), is_reward(target), is_extra(name, target))
    if target in lookups() or any(judged):
        return target  # type: ignore[no-any-return]
    raise refusal(name, key, qualified(target))


@cache
def lookups() -> tuple[Any, ...]:
    """The functions of LOOKUPS, imported."""
    return tuple(resolve(name, name) for name in LOOKUPS)


def check_lookup(path: object, key: str, usual: str = "") -> None:
    """Judge the `path` of a lookup: a torch dtype, a member of an enumeration, or anything that may be a target.

    Args:
        usual: the path of the option that the user has chosen.

    Raises:
        ConfigError: it is none of these.
    """
    if not isinstance(path, str):
        raise ConfigError(key, f"a dotted name is needed, found {path!r}", f"{key}={usual or 'torch.float32'}")
    if "." not in path and (known := f"torch.{path}" if is_plain(vars(torch_module()).get(path)) else usual):
        raise ConfigError(key, f"a dotted name is needed, found {path}", f"{key}={known}")
    if not is_plain(resolve(path, key)):
        check_target(path, key)


def torch_module() -> Any:
    """torch, which this package does without until a recipe names something of it."""
    return importlib.import_module("torch")


def is_plain(target: object) -> bool:
    """Whether an object is a torch dtype or a member of an enumeration, which do nothing."""
    return isinstance(target, Enum) or (type(target).__module__ == "torch" and type(target).__name__ == "dtype")


def refusal(name: str, key: str, really: str = "") -> ConfigError:
    """Why a name is not allowed, and how to allow it where it is the user's own."""
    what = f"{name} (really {really})" if really and really != name else name
    near = nearest(name, [*SINGLES, *FAMILIES], cutoff=75)
    remedy = near or (f"llmcycle --allow {name} ..., if this code is yours and you trust it")
    return ConfigError(key, f"a recipe may not call {what}: it is not on the allow-list", remedy)
