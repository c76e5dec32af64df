"""Which commit a name of the Hugging Face Hub stands for, so that a model that moved on there is another input."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

MAIN = "main"
COMMIT = re.compile(r"[0-9a-f]{40}")
PATIENCE = 5.0  # seconds
ARTIFACT = re.compile(r"[0-9a-f]{4,64}|.+-[0-9a-f]{12}")
LOCAL_SUFFIXES = {".txt", ".json", ".jsonl", ".csv", ".parquet", ".gz", ".safetensors", ".gguf"}


def looks_made(name: str) -> bool:
    """Whether a name has the form of an artifact's id, or of `NAME-ID`, and so is none of the Hub."""
    return bool(ARTIFACT.fullmatch(name)) and "/" not in name


def looks_local(name: str) -> bool:
    """Whether a name cannot be one of the Hub, which is `name` or `owner/name`."""
    path = name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).suffix in LOCAL_SUFFIXES
    return path or looks_made(name)


@cache
def commit(name: str, kind: str, revision: str = MAIN) -> str | None:
    """The commit of a branch, tag or commit of `name`: that of the copy in the cache, else what the Hub says.

    Asked once a process: what a run downloads meanwhile must not rename what it has planned.

    Args:
        kind: "model" or "dataset".

    Returns:
        None where it is not in the cache and the Hub is out of reach, or has no such name.
    """
    reference = folder() / f"{kind}s--{name.replace('/', '--')}" / "refs" / revision
    if reference.is_file():
        return reference.read_text("utf-8").strip()
    if COMMIT.fullmatch(revision):
        return revision
    return None if is_offline() or looks_local(name) else ask(name, kind, revision)


def folder() -> Path:
    """The cache, where huggingface_hub has it."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def is_offline() -> bool:
    """Whether the Hub may not be asked."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def ask(name: str, kind: str, revision: str) -> str | None:
    """What the Hub says; None where it can't be asked, or doesn't know the name."""
    from huggingface_hub import HfApi

    try:
        return HfApi().repo_info(name, repo_type=kind, revision=revision, timeout=PATIENCE).sha
    except Exception:  # its client's errors have no base of their own; whoever loads the name will report what is wrong
        return None
