"""What a stage's result depends on, as one digest: the same work has the same id, whoever asks for it and where."""

from __future__ import annotations

import glob
import hashlib
import json
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

from llmcycle import __version__
from llmcycle.files import listing, sha256

# What every stage is computed with, and what only some are.
LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "torchao")
SOMETIMES = ("trl", "bitsandbytes", "datasets")


class GitState(TypedDict):
    """The checkout that a run started from."""

    commit: str
    dirty: bool


def identify(config: Mapping[str, Any], *, seed: int | None, versions: Mapping[str, str | None]) -> str:
    """Full hex sha256 of what shapes a stage's result: plain values, inputs already replaced by what they stand for.

    Raises:
        ValueError: for a value that JSON doesn't have.
    """
    subject = {"config": config, "seed": seed, "versions": dict(versions)}
    return hashlib.sha256(canonical(subject).encode()).hexdigest()


def canonical(value: object) -> str:
    """JSON text that does not depend on the order of keys."""
    try:
        return json.dumps(_text_keys(value), sort_keys=True, separators=(",", ":"))
    except TypeError as error:
        raise ValueError(f"an artifact's id needs plain values (OmegaConf.to_container gives them): {error}") from None


def digest_path(path: Path | str) -> str:
    """`sha256:...` of a file's bytes, or of the sorted names and digests of all files in a folder or matching `*`."""
    path = Path(path)
    if path.is_file():
        return f"sha256:{sha256(path)}"
    if glob.has_magic(str(path)) and (matches := sorted(glob.glob(str(path), recursive=True))):
        root = Path(re.split(r"[*?\[]", str(path))[0] + "_").parent
        digests = {Path(name).relative_to(root).as_posix(): digest_path(name) for name in matches}
        return f"sha256:{hashlib.sha256(canonical(digests).encode()).hexdigest()}"
    if not path.is_dir():
        raise ValueError(f"{path} does not exist, so it has no digest. Check the path; it is relative to {Path.cwd()}.")
    files = {name: _content(file) for name, file in listing(path).items()}
    return f"sha256:{hashlib.sha256(canonical(files).encode()).hexdigest()}"


def _content(file: Path) -> str:
    if file.exists() and not file.is_file() and not file.is_dir():
        raise ValueError(f"{file} is no ordinary file, so {file.parent} has no digest. Give a folder without it.")
    return sha256(file)


@cache
def environment() -> dict[str, str | None]:
    """Versions that a result may depend on: the libraries', ours, and the digest of our source. None: not installed."""
    return {name: _version(name) for name in (*LIBRARIES, *SOMETIMES)} | {
        "llmcycle": __version__,
        "source": _source_digest(),
    }


def git_state(folder: Path | None = None) -> GitState | None:
    """Commit of the checkout around `folder` (the working directory by default); None outside one or without git."""
    commit = _git(folder, "rev-parse", "HEAD")
    status = _git(folder, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all")
    return None if commit is None or status is None else GitState(commit=commit, dirty=bool(status))


def _text_keys(value: object) -> Any:
    """Keys as text: JSON has no others, and sorting needs one type."""
    if isinstance(value, Mapping):
        return {str(key): _text_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_text_keys(item) for item in value]
    return value


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _source_digest() -> str:
    """Digest of every Python file of this package."""
    root = Path(__file__).parents[1]
    files = {path.relative_to(root).as_posix(): sha256(path) for path in root.rglob("*.py")}
    return hashlib.sha256(canonical(files).encode()).hexdigest()


# A folder's own .git may name commands: those that `git status` would run are named away.
_HARMLESS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never")
_FILTERS = ("config", "--name-only", "--get-regexp", r"^filter\..*\.(clean|smudge|process)$")


def _git(folder: Path | None, *arguments: str) -> str | None:
    filters = _run_git(folder, *_FILTERS) or ""
    unset = [part for name in dict.fromkeys(filters.splitlines()) for part in ("-c", f"{name}=")]
    return _run_git(folder, *_HARMLESS, *unset, *arguments)


def _run_git(folder: Path | None, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
