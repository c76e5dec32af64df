"""A stage's loggers: options by name, each of a class whose package is installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from .allow import check_target, resolve
from .errors import ConfigError
from .plain_tree import targets
from .stages import Stage

# What a class of Lightning needs, of which any one will do; the first is installed by the extra of that name.
PACKAGES = {
    "pytorch_lightning.loggers.TensorBoardLogger": ("tensorboard", "tensorboardX"),
    "pytorch_lightning.loggers.MLFlowLogger": ("mlflow",),
}


def check_loggers(stage: Stage) -> Iterator[ConfigError]:
    """Each is a mapping with a `_target_`, of a class that can be built here."""
    node = stage.settled.get("logger") or {}
    if "_target_" not in node:
        for name, option in node.items():
            if option is not None and not (isinstance(option, dict) and "_target_" in option):
                key = stage.dot("logger", name)
                reason = f"a logger is a mapping with a `_target_`, and this is {option!r}; its settings stand below it"
                yield ConfigError(key, reason, f"~{key}")
    for path, option in targets(node, "logger"):
        yield from check_installed(stage.dot(path), option["_target_"])


def check_installed(key: str, name: str) -> Iterator[ConfigError]:
    """The package behind one of them."""
    target = check_target(name, key)
    for family, packages in PACKAGES.items():
        known = isinstance(target, type) and issubclass(target, resolve(family, family))
        if known and not any(map(find_spec, packages)):
            reason = f"it needs the package {packages[0]}, which is not installed"
            yield ConfigError(key, reason, f"pip install {packages[0]}")
