"""Keep credentials out of what is logged."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

MASK = "***"
SECRET = {"key", "apikey", "token", "password", "passwd", "passphrase", "secret", "credential", "credentials"}
VOCABULARY = {"pad", "eos", "bos", "unk", "sep", "cls", "mask", "eot", "image"}  # a `pad_token` is a word of the model
ENVIRONMENT = re.compile(r"\$\{oc\.env:\s*(\w+)")
CREDENTIAL = re.compile(r"[^\s<>{}$]{8,}")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def masked(value: object, key: str = "") -> Any:
    """A copy in which every text below a key such as `api_key`, `hfToken` or `password` is replaced by `***`."""
    if isinstance(value, Mapping):
        return {name: masked(item, _nearest(str(name), key)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, key) for item in value]
    return MASK if isinstance(value, str) and value and is_secret(key) else value


def is_secret(key: str) -> bool:
    """Whether a key's name says that its value is a credential."""
    words = {word.lower() for word in _WORD.findall(key)}
    return bool(words & SECRET) and not words & VOCABULARY


def _nearest(name: str, above: str) -> str:
    """What lies below a secret key is secret whatever it is called."""
    return above if is_secret(above) else name


def hidden(tree: object, overrides: Iterable[str]) -> frozenset[str]:
    """The texts that a run may not show: what it takes from environment variables, and values of secret keys.

    A variable that holds a number, a short word or the path of something that is there is no secret.

    Args:
        tree: the composition, interpolations as they are written.
        overrides: as they were typed.
    """
    typed = {override.partition("=")[0]: override.partition("=")[2] for override in overrides}
    texts = [*_texts(tree), *((key.rpartition(".")[2], value) for key, value in typed.items())]
    named = {name for _, text in texts for name in ENVIRONMENT.findall(text)}
    values = [os.environ.get(name, "") for name in named]
    literal = [text.strip("'\"") for key, text in texts if is_secret(key) and "${" not in text]
    return frozenset(value for value in [*values, *literal] if CREDENTIAL.fullmatch(value) and not _harmless(value))


def without(text: str, secrets: Iterable[str]) -> str:
    """A text with `***` in the place of each secret."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def cleaned(value: object, secrets: Collection[str]) -> Any:
    """A copy of plain values with `***` in the place of each secret."""
    if isinstance(value, Mapping):
        return {key: cleaned(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(item, secrets) for item in value]
    return without(value, secrets) if isinstance(value, str) else value


def _harmless(value: str) -> bool:
    return value.replace(".", "").isdigit() or Path(value).expanduser().exists()


def _texts(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text with its nearest key."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, _nearest(str(name), key))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, str):
        yield key, value
