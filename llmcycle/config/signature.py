"""Bind a `_target_` node against the callable's signature, so that an argument it does not take is refused early."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .allow import FORBIDDEN_ARGUMENTS, resolve
from .errors import ConfigError, choose

UNKNOWN = "takes no argument"
CONTROL = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}
LOADING = ("revision", "subfolder", "cache_dir", "local_files_only", "force_download")
MODEL = [
    *("pretrained_model_name_or_path", *LOADING, "variant", "use_safetensors", "dtype", "device_map", "max_memory"),
    *("attn_implementation", "quantization_config", "low_cpu_mem_usage", "num_labels", "problem_type", "pad_token_id"),
    *("key_mapping", "tie_word_embeddings"),
]
TOKENIZER = [
    *("pretrained_model_name_or_path", *LOADING, "use_fast", "padding_side", "truncation_side", "model_max_length"),
    *("pad_token", "eos_token", "bos_token", "unk_token", "chat_template", "add_bos_token", "add_eos_token"),
]
LOGGER = ["entity", "group", "job_type", "tags", "notes", "mode", "resume"]  # `settings` could name another server
# Classes that hold settings and do nothing when built: a default instance tells what they take.
PLAIN_DATA = ("transformers.PretrainedConfig", "transformers.GenerationConfig")
# Arguments of targets that hide theirs behind **kwargs and have no default instance to ask.
KEYWORDS: dict[str, list[str]] = {
    "llmcycle.model.load": MODEL,
    "transformers.AutoModelForCausalLM.from_pretrained": MODEL,
    "transformers.AutoModelForMaskedLM.from_pretrained": MODEL,
    "transformers.AutoModelForSequenceClassification.from_pretrained": MODEL,
    "transformers.AutoConfig.from_pretrained": MODEL,
    "transformers.AutoTokenizer.from_pretrained": TOKENIZER,
    "transformers.TorchAoConfig": ["quant_type", "modules_to_not_convert", "include_input_output_embeddings"],
    "pytorch_lightning.loggers.WandbLogger": LOGGER,
}


def named(target: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """Parameters that can be given by name, and whether **kwargs takes further ones."""
    parameters = inspect.signature(target).parameters
    by_name = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    return by_name, any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def keywords(target: Callable[..., Any]) -> set[str]:
    """Names that a target with **kwargs really takes: from KEYWORDS, its bases' signatures, or a default instance."""
    for name, table in KEYWORDS.items():
        if resolve(name, name) == target:
            return set(table)
    if not isinstance(target, type):
        return set()
    names = {name for base in target.__mro__[1:-1] for name in inherited(base)}
    if not issubclass(target, (resolve(PLAIN_DATA[0], ""), resolve(PLAIN_DATA[1], ""))):
        return names
    return names | {name for name in vars(target()) if not name.startswith("_")}


def inherited(base: type) -> Iterable[str]:
    """Named parameters of a base class's own constructor and those its KEYWORDS entry adds."""
    table = [names for name, names in KEYWORDS.items() if resolve(name, name) is base]
    return [*named(base)[0], *(table[0] if table else ())] if "__init__" in vars(base) else ()


def bind(
    target: Callable[..., Any], node: Mapping[str, Any], key: str, supplied: Iterable[str] = ()
) -> list[ConfigError]:
    """Every reason why `target(**node)` could not be called.

    Args:
        target: what the node builds.
        node: the mapping, with its control keys.
        key: where the node stands in the recipe.
        supplied: arguments that the runner adds itself.
    """
    by_name, open_ended = named(target)
    settings = [name for name in node if name not in CONTROL]
    known = set(by_name) | (keywords(target) if open_ended else set())
    errors = [unknown(target, f"{key}.{name}", name, known) for name in settings if name not in known]
    errors += [
        ConfigError(f"{key}.{name}", "it would run code from elsewhere, which a recipe may not ask for")
        for name in settings
        if name in FORBIDDEN_ARGUMENTS
    ]
    if not node.get("_partial_") and not node.get("_args_"):
        errors += [missing(target, f"{key}.{name}") for name in required(by_name) if name not in (*settings, *supplied)]
    return errors


def required(by_name: Mapping[str, inspect.Parameter]) -> list[str]:
    """Parameters without a default, `self` aside."""
    return [name for name, parameter in by_name.items() if parameter.default is parameter.empty and name != "self"]


def label(target: Callable[..., Any]) -> str:
    """How a callable is named in errors."""
    return f"{target.__module__.partition('.')[0]}'s {getattr(target, '__qualname__', type(target).__name__)}"


def unknown(target: Callable[..., Any], key: str, name: str, known: Iterable[str]) -> ConfigError:
    """An argument that the target does not take."""
    return ConfigError(key, f"{label(target)} {UNKNOWN} `{name}`", choose(name, known))


def missing(target: Callable[..., Any], key: str) -> ConfigError:
    """A required argument that the recipe does not give."""
    return ConfigError(key, f"{label(target)} needs it and the recipe does not give it", f"{key}=VALUE")
