"""Freeze parameters by patterns on their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from rapidfuzz import process
from torch import nn

from llmcycle.printable import in_double_quotes

PLAIN = re.compile(r"[\w.*?-]+")  # a pattern that needs no quotes in a list


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Take out of training what a pattern names: a module or a parameter, with `*`, `?` and `[0-3]` as in a shell.

    A pattern may begin and end at any dot: `embed_tokens`, `layers.[0-3]`, `lora_A`, `*.bias`.

    Raises:
        ValueError: a pattern names nothing that is trained (the nearest names are suggested), or nothing would be left.
    """
    for reason, value in unnamed(model, patterns):
        raise ValueError(f"module.frozen: {reason}\n  try: {in_double_quotes(f'module.frozen={value}')}")
    for name, parameter in model.named_parameters():
        if any(_names(pattern, name) for pattern in patterns):
            parameter.requires_grad_(False)


def unnamed(model: nn.Module, patterns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Why patterns can't be frozen, and a value of the setting that can: all of them name something, and not all."""
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    for pattern in patterns:
        if not any(_names(pattern, name) for name in trained):
            near = [each for each in _near(pattern, trained) if not _all([each], trained)]
            right = [each for each in patterns if any(_names(each, name) for name in trained)]
            reason = f"{pattern!r} names nothing that is trained; near it are {', '.join(near[:4])}"
            yield reason, in_list([*right, *near[:1]])
            return
    if patterns and _all(patterns, trained):
        yield f"{', '.join(patterns)} together leave nothing to train", in_list(patterns[:-1])


def in_list(patterns: Sequence[str]) -> str:
    """A list as a recipe writes it; a pattern with signs of its grammar, such as `layers.[0-3]`, stands in quotes."""
    return f"[{','.join(pattern if PLAIN.fullmatch(pattern) else quoted(pattern) for pattern in patterns)}]"


def quoted(pattern: str) -> str:
    """A pattern as Hydra reads it back."""
    return "'" + pattern.replace("'", "\\'") + "'"


def _all(patterns: Sequence[str], names: Sequence[str]) -> bool:
    return all(any(_names(pattern, name) for pattern in patterns) for name in names)


def _names(pattern: str, name: str) -> bool:
    return any(fnmatchcase(name, form) for form in (pattern, f"*.{pattern}", f"{pattern}.*", f"*.{pattern}.*"))


def _near(pattern: str, names: Sequence[str]) -> list[str]:
    """Parts of names, of which the pattern may mean one: `layers.3` and `mlp.down_proj`, never a whole path."""
    parts = [name.split(".") for name in names]
    runs = {".".join(part[i : i + n]) for part in parts for n in (1, 2) for i in range(len(part) - n + 1)}
    return [match for match, *_ in process.extract(pattern, sorted(runs), limit=8)]
