"""The `hydra` node of a composition is YAML too: what it builds, writes and sets is judged as Hydra will see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from . import plain_tree
from .allow import extra, permitted
from .errors import ConfigError, nearest

# Hydra's own launchers, sweepers and callbacks, and the plugins that a user has installed for them.
TARGETS = ("hydra._internal.core_plugins", "hydra.experimental.callbacks", "hydra_plugins")
# Of a launcher: what it runs beside the stage. Typed on the command line it is the user's own.
COMMANDS = ("setup", "python", "srun_args", "additional_parameters", "runtime_env", "init")
# What a recipe may set for its process: nothing by which git, Python, the loader or a client runs or sends something.
VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "TOKENIZERS_PARALLELISM"),
    *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"),
    *("NCCL_DEBUG", "NCCL_P2P_DISABLE", "NCCL_IB_DISABLE", "NCCL_SOCKET_IFNAME", "CUBLAS_WORKSPACE_CONFIG"),
)
HANDLERS = ("logging.StreamHandler", "logging.FileHandler", "logging.NullHandler")
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
# Keys of the logging configuration (https://docs.python.org/3/library/logging.config.html) that name no code.
LOGGING = ("version", "formatters", "handlers", "root", "loggers", "disable_existing_loggers", "incremental")
HANDLER = ("class", "formatter", "level", "stream", "filename", "mode", "encoding", "delay")
FORMATTER = ("format", "datefmt", "style", "validate", "log_colors", "reset", "secondary_log_colors", "()")
COLOURED = "colorlog.ColoredFormatter"


def check_hydra(root: DictConfig) -> list[ConfigError]:
    """Everything under `hydra` that would call code, write outside of `outputs` or set what it may not."""
    try:
        node = resolved(root)
    except OmegaConfBaseException as error:
        return [ConfigError("hydra", str(error).splitlines()[0])]
    rules = (check_targets, check_commands, check_variables, check_searchpath, check_chdir, check_logging)
    return [*(error for rule in rules for error in rule(node)), *check_folders(node, str(root.outputs))]


def resolved(root: DictConfig) -> dict[str, Any]:
    """The node with every reference followed, and with stand-ins for what Hydra fills in when it runs."""
    copy = root.copy()
    hydra = copy.hydra
    typed_words = plain_tree.plain(
        hydra.overrides, resolve=False
    )  # a reference in them is the recipe's, not this node's
    OmegaConf.set_readonly(hydra, False)
    with open_dict(hydra):
        hydra.overrides.hydra, hydra.overrides.task = [], []
        hydra.job.override_dirname = "overrides"
        for key, value in {"job.num": 0, "job.id": "0", "runtime.output_dir": "${hydra.run.dir}"}.items():
            part, _, name = key.partition(".")
            if OmegaConf.is_missing(hydra[part], name):
                hydra[part][name] = value
    node = plain_tree.plain(hydra)
    assert isinstance(node, dict)
    return {**node, "overrides": typed_words}


def typed(node: Mapping[str, Any], key: str) -> bool:
    """Whether a key of the node was set on the command line."""
    overrides = node["overrides"]["hydra"]
    return any(override.lstrip("+~").partition("=")[0] == key for override in overrides)


def check_targets(node: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Hydra builds nothing but its own parts."""
    for key, target in plain_tree.targets(node, "hydra"):
        if not may_call(str(target["_target_"])):
            reason = f"a recipe may not call {target['_target_']} from Hydra's node"
            yield ConfigError(f"{key}._target_", reason, f"take {key} out of the recipe")


def may_call(name: str) -> bool:
    """Whether Hydra may build `name`; dunder and private parts could lead anywhere."""
    return permitted(name, [*TARGETS, *extra()]) and not any(part.startswith("__") for part in name.split("."))


def check_commands(node: Mapping[str, Any]) -> Iterator[ConfigError]:
    """A launcher runs no command that a recipe names."""
    for name in COMMANDS:
        value, key = (node.get("launcher") or {}).get(name), f"hydra.launcher.{name}"
        if value and not typed(node, key):
            reason = "commands of a launcher are taken from the command line alone, not from a file"
            yield ConfigError(key, reason, f"'{key}={value}' typed after the recipe's name")


def check_variables(node: Mapping[str, Any]) -> Iterator[ConfigError]:
    """A recipe sets only the environment variables of a short list."""
    for name in node["job"].get("env_set") or {}:
        if name not in VARIABLES:
            known = nearest(str(name), VARIABLES, cutoff=80) or f"{name}=... before llmcycle, in the shell"
            yield ConfigError(f"hydra.job.env_set.{name}", "a recipe may not set this environment variable", known)


def check_searchpath(node: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Options come from folders: a package would be imported to be searched."""
    for place in node.get("searchpath") or ():
        if str(place).startswith("pkg:"):
            yield ConfigError("hydra.searchpath", f"{place}: a package may not be searched", "file://FOLDER")


def check_chdir(node: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Paths are relative to where the command was typed."""
    if node["job"].get("chdir"):
        reason = "every path of a recipe is relative to the folder that the command is typed in, so it stays there"
        yield ConfigError("hydra.job.chdir", reason, "hydra.job.chdir=false")


def check_folders(node: Mapping[str, Any], outputs: str) -> Iterator[ConfigError]:
    """Run folders lie inside `outputs`, where `gc` looks for what refers to artifacts."""
    sweep = Path(str(node["sweep"]["dir"]))
    places = {
        "hydra.run.dir": Path(str(node["run"]["dir"])),
        "hydra.sweep.dir": sweep,
        "hydra.sweep.subdir": sweep / str(node["sweep"]["subdir"]),
    }
    if node.get("output_subdir"):
        places["hydra.output_subdir"] = places["hydra.run.dir"] / str(node["output_subdir"])
    for key, place in places.items():
        if not inside(place, Path(outputs)):
            reason = f"{place} lies outside of outputs={outputs}, and a run's folder stays inside"
            yield ConfigError(key, reason, "outputs=FOLDER, which moves the runs and the artifacts together")


def inside(place: Path, folder: Path) -> bool:
    """Whether a path lies below a folder once `..` and links are followed."""
    return place.expanduser().resolve().is_relative_to(folder.expanduser().resolve())


def check_logging(node: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Two logging configurations, of which neither names code or a file elsewhere."""
    for part in ("job_logging", "hydra_logging"):
        settings, key = node.get(part) or {}, f"hydra.{part}"
        yield from unknown_keys(settings, LOGGING, key)
        for name, handler in (settings.get("handlers") or {}).items():
            yield from check_handler(handler or {}, f"{key}.handlers.{name}", Path(str(node["run"]["dir"])))
        for name, formatter in (settings.get("formatters") or {}).items():
            yield from unknown_keys(formatter or {}, FORMATTER, f"{key}.formatters.{name}")
            if (formatter or {}).get("()", COLOURED) != COLOURED:
                yield ConfigError(f"{key}.formatters.{name}.()", "a logging configuration may not name code", COLOURED)
        for path, value in plain_tree.strings(settings, key):
            if value.partition("://")[0] in ("ext", "cfg") and value not in STREAMS:
                yield ConfigError(path, f"a logging configuration may not name {value}", STREAMS[0])


def check_handler(handler: Mapping[str, Any], key: str, folder: Path) -> Iterator[ConfigError]:
    """A handler writes to the terminal or into the run's folder."""
    yield from unknown_keys(handler, HANDLER, key)
    if handler.get("class") not in HANDLERS:
        yield ConfigError(f"{key}.class", f"a log may not be written by {handler.get('class')}", HANDLERS[1])
    filename = handler.get("filename")
    if filename is not None and not inside(Path(str(filename)), folder):
        reason = f"{filename} lies outside of the run's folder"
        yield ConfigError(f"{key}.filename", reason, "${hydra.runtime.output_dir}/${hydra.job.name}.log")


def unknown_keys(settings: Mapping[str, Any], known: tuple[str, ...], key: str) -> Iterator[ConfigError]:
    """Keys by which a logging configuration could call a factory."""
    for name in settings:
        if name not in known:
            reason = "a recipe may not set this key of a logging configuration"
            yield ConfigError(f"{key}.{name}", reason, f"one of: {', '.join(known)}")
