"""Freeze parameters by patterns on their names."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from rapidfuzz import process
from torch import nn


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Take out of training what a pattern names: a module or a parameter, with `*`, `?` and `[0-3]` as in a shell.

    A pattern may begin and end at any dot: `embed_tokens`, `layers.[0-3]`, `lora_A`, `*.bias`.

    Raises:
        ValueError: a pattern names nothing that is trained (the nearest names are suggested), or nothing would be left.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    for pattern in patterns:
        named = [name for name in trained if _names(pattern, name)]
        if not named:
            raise ValueError(f"module.frozen: {pattern!r} names nothing that is trained; {_near(pattern, trained)}")
        for name in named:
            trained[name].requires_grad_(False)
    if patterns and not any(p.requires_grad for p in trained.values()):
        raise ValueError(f"module.frozen: {', '.join(patterns)} together leave nothing to train; leave one out")


def _names(pattern: str, name: str) -> bool:
    return any(fnmatchcase(name, form) for form in (pattern, f"*.{pattern}", f"{pattern}.*", f"*.{pattern}.*"))


def _near(pattern: str, names: dict[str, nn.Parameter]) -> str:
    """Parts of names, of which the pattern may mean one: `layers.3` and `mlp.down_proj`, never a whole path."""
    parts = [name.split(".") for name in names]
    runs = {".".join(part[i : i + n]) for part in parts for n in (1, 2) for i in range(len(part) - n + 1)}
    near = [match for match, *_ in process.extract(pattern, sorted(runs), limit=4)]
    return f"near it are {', '.join(near)}"
