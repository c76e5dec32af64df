"""Credentials stand in no file and in no message: what a process knows to be one is replaced wherever it is written.

`notice` learns them from a command line, the text of a recipe or a composition; `shown` and `cleaned` take them out.
"""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TextIO, cast
from urllib.parse import quote

from llmcycle.surroundings import OUTPUTS

MASK = "***"
# Words of a key below which a credential stands, whatever it looks like; `key` alone names columns as well.
CERTAIN = {
    *("token", "apikey", "password", "passwd", "passphrase", "passcode", "pwd", "secret", "credential", "credentials"),
    *("authorization", "authtoken", "accesskey", "accesstoken", "secretkey", "privatekey", "cookie", "signature"),
}
SECRET = CERTAIN | {"key", "auth", "sig"}
QUALIFIED = {"api", "access", "secret", "private", "auth", "account", "license", "encryption", "signing"}
VOCABULARY = {"pad", "eos", "bos", "unk", "sep", "cls", "mask", "eot", "image"}  # a `pad_token` is a word of the model
SHORTEST = 6  # characters; less would be found in many a word, so it is replaced where a key or a URL says what it is,
SHORTEST_WORD = 4  # and as a word of its own, if that is long enough and none of a language: see `_is_odd`
EMPTY = {"", "null", "none", "true", "false", "~", "???"}  # values that say there is none
ENVIRONMENT = re.compile(r"\$\{oc\.env:\s*([\w.]+)\s*(?:,\s*([^}]*))?")
COLUMN = re.compile(r"[a-z]+(_[a-z]+)*(_?\d)?")
WORD = re.compile(r"[A-Za-z]+[.,;!?]?")
FOLDERS = {OUTPUTS, "PWD"}  # variables that name a folder, which may be yet to come, or gone
SPECIAL = re.compile(r"<\S*>")  # a token of a model's vocabulary
# A key and its value, as they stand in YAML, in JSON, in an override, in a URL or behind a flag.
# The value is looked at and not taken, since a key may stand inside it, as in `url: https://host?token=...`.
PAIR = re.compile(r"""([A-Za-z_][\w.-]*)["']?\s*([:=])\s*(?=(?:"([^"]*)"|'([^']*)'|([^\s"',}\]&#]+)))""")
QUOTE = r"""(?:\\*["']|&quot;|&\#x27;|&\#39;)"""  # one mark, as JSON in JSON and HTML write it too
FLAG = re.compile(r"--([\w-]+)[ =](\S+)")
# What is a credential by where it stands: a URL's user and password, and a word after the name of a scheme.
PLACES = (
    re.compile(r"\w://(?:[^\s/@:]*:)?([^\s/@]+)@"),
    re.compile(r"\b(?:bearer|basic)\s+([\w.~+/=-]{6,})", re.IGNORECASE),
    re.compile(r"\b((?:sk-|gh[pous]_|github_pat_|hf_|glpat-|xox[abp]-|AKIA|wandb_v1_)[\w-]{16,})"),
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_known: set[str] = set()


def is_secret(key: str) -> bool:
    """Whether a key's name says that its value is a credential."""
    words = _words(key)
    return bool(words & SECRET) and not words & VOCABULARY


def _words(key: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(key)}


def notice(tree: object) -> None:
    """Remember the credentials in a text, in texts, or in plain containers, interpolations as they are written.

    These are the values of keys such as `api_key`, `hfToken` or `password`, at any depth; the values of environment
    variables that a text refers to, and of those whose own names say it; users and passwords of URLs, parameters of
    queries, what follows `Bearer`. A number or the path of something that is there is none.
    """
    secrets = [value for key, text in _texts(tree) for value in _in_text(key, text)]
    secrets += [value for name, value in os.environ.items() if name not in FOLDERS and _is_credential(name, value)]
    _known.update(value for value in secrets if not _harmless(value))


def shown(text: str) -> str:
    """A text with `***` in the place of each credential that has been noticed, in any of its spellings."""
    known = frozenset(_known)
    anywhere, by_place = _pattern(known), _pattern_of_short(known)
    text = anywhere.sub(MASK, text) if anywhere else text
    return by_place.sub(_without, text) if by_place else text


def cleaned(value: object, key: str = "") -> Any:
    """A copy of plain values with the same done to each text, of which `key` is the nearest key."""
    if isinstance(value, Mapping):
        return {name: cleaned(item, _nearest(str(name), key)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(item, key) for item in value]
    if not isinstance(value, str):
        return value
    return MASK if value in _known and is_secret(key) else shown(value)


def masked(value: object, key: str = "") -> Any:
    """A copy in which every text below a key such as `api_key`, `hfToken` or `password` is replaced by `***`."""
    if isinstance(value, Mapping):
        return {name: masked(item, _nearest(str(name), key)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, key) for item in value]
    if not isinstance(value, str):
        return value
    return MASK if value and is_secret(key) else shown(value)


@contextmanager
def screened() -> Iterator[None]:
    """Nothing that is printed inside shows a credential that has been noticed by then; at the end all are forgotten."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, Screen(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        _known.clear()


class Screen:
    """A stream that writes texts as they may be shown."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Give the length of the text, not of what stands for it. A stream that has been closed takes nothing more."""
        if not self._stream.closed:  # a logger may hold it longer than the command that made it
            self._stream.write(shown(text))
        return len(text)

    def flush(self) -> None:
        """Of a closed stream there is nothing left to flush."""
        if not self._stream.closed:
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _nearest(name: str, above: str) -> str:
    """What lies below a secret key is secret whatever it is called."""
    return above if is_secret(above) else name


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


def _in_text(key: str, text: str) -> Iterator[str]:
    """The credentials in one text that stands below `key`."""
    for name, default in ENVIRONMENT.findall(text):
        value = "" if name in FOLDERS else os.environ.get(name, "")
        yield from (value, *_by_place(value))
        if is_secret(key) or is_secret(name):
            yield default.strip(" '\"")
    if "${" not in text and _is_credential(key, text):
        yield text.strip().strip("'\"")
    yield from _in_pairs(text)
    yield from _by_place(text)


def _in_pairs(text: str) -> Iterator[str]:
    """Values behind their keys inside a text. After a colon a bare word may belong to a sentence."""
    for name, sign, *values in PAIR.findall(text):
        value = next(filter(None, values), "")
        sentence = sign == ":" and value == values[-1] and WORD.fullmatch(value)
        if "${" not in value and not sentence and _is_credential(name.rpartition(".")[2], value):
            yield value
    yield from (value for name, value in FLAG.findall(text) if _is_credential(name, value))


def _by_place(text: str) -> Iterator[str]:
    for place in PLACES:
        yield from (value for value in place.findall(text) if "${" not in value)


def _is_credential(key: str, text: str) -> bool:
    """Whether a key's name and its value together say it: `key: user_id` is a column, and `auth: required` a mode."""
    if not is_secret(key) or SPECIAL.fullmatch(text):
        return False
    words = _words(key)
    certain = words & CERTAIN or ("key" in words and words & QUALIFIED)
    return bool(certain) or not (COLUMN.fullmatch(text) or " " in text)


def _harmless(value: str) -> bool:
    return value.lower() in EMPTY or value.replace(".", "").isdigit() or value == MASK or _is_there(value)


def _is_there(value: str) -> bool:
    try:
        return Path(value).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long for a path, a zero in it, or `~` of nobody
        return False


@lru_cache(maxsize=4)
def _pattern(known: frozenset[str]) -> re.Pattern[str] | None:
    """What is replaced wherever it stands."""
    long = _alternatives(secret for secret in known if len(secret) >= SHORTEST)
    odd = _alternatives(secret for secret in known if len(secret) < SHORTEST and _is_odd(secret))
    each = [long] * bool(long) + [rf"(?<![\w-])(?:{odd})(?![\w-])"] * bool(odd)
    return re.compile("|".join(each)) if each else None


@lru_cache(maxsize=4)
def _pattern_of_short(known: frozenset[str]) -> re.Pattern[str] | None:
    """A short one behind a key or a flag, and in a URL, with what stands before it."""
    short = _alternatives(secret for secret in known if len(secret) < SHORTEST)
    if not short:
        return None
    before = rf"(?P<key>[A-Za-z_][\w.-]*)(?:{QUOTE}?\s*[:=]\s*|\s+){QUOTE}?"
    after = r"""(?=[\s"',}\])&#;\\]|$)"""
    return re.compile(rf"(?P<before>{before})(?:{short}){after}|(?P<url>://(?:[^\s/@:]*:)?)(?:{short})(?=@)")


def _without(match: re.Match[str]) -> str:
    """What was found without its credential; all of it where the key names none."""
    if match["url"]:
        return f"{match['url']}{MASK}"
    return f"{match['before']}{MASK}" if is_secret(match["key"]) else match[0]


def _is_odd(secret: str) -> bool:
    """Whether a short credential is no word that may stand in a sentence: it has letters, and more than letters."""
    return len(secret) >= SHORTEST_WORD and not secret.isalpha() and any(map(str.isalpha, secret))


def _alternatives(secrets: Iterable[str]) -> str:
    """All spellings in a pattern, the longest first; a blank may have become the end of a line."""
    words = sorted({spelling for secret in secrets for spelling in _spellings(secret)}, key=len, reverse=True)
    return "|".join(re.sub(r"(?:\\?\s)+", r"\\s+", re.escape(word)) for word in words)


def _spellings(secret: str) -> set[str]:
    """As it is, and as JSON, Python, HTML, URLs, YAML and shells write it, and one of these in another."""
    once = {secret} | {write(secret) for write in _WRITERS}
    return once | {write(text) for text in once for write in _WRITERS}


_WRITERS: tuple[Callable[[str], str], ...] = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: repr(text)[1:-1],
    lambda text: shlex.quote(text).strip("'"),
    lambda text: text.replace("'", "''"),
    html.escape,
    partial(html.escape, quote=False),
    quote,
    partial(quote, safe=""),
)
