"""Keep credentials out of what is logged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"
SECRET = {"key", "apikey", "token", "password", "passwd", "passphrase", "secret", "credential", "credentials"}
VOCABULARY = {"pad", "eos", "bos", "unk", "sep", "cls", "mask", "eot", "image"}  # a `pad_token` is a word of the model
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def masked(value: Any, key: str = "") -> Any:
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
