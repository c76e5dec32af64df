"""Files as bytes: their digests, and writing them so that a power cut cannot undo it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TypedDict


class FileRecord(TypedDict):
    """What a manifest keeps of one file."""

    sha256: str
    size: int  # bytes


def sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listing(folder: Path) -> dict[str, Path]:
    """Every file and link below `folder` by its relative POSIX name, sorted by name."""
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return dict(sorted((path.relative_to(folder).as_posix(), path) for path in found))


def record(folder: Path) -> dict[str, FileRecord]:
    """Digest and size of every file below `folder`, by relative name.

    Raises:
        ValueError: when something below it is no ordinary file: a link's target could change unseen.
    """
    files = listing(folder)
    for name, path in files.items():
        if path.is_symlink() or not path.is_file():
            raise ValueError(
                f"{name} in {folder} is no ordinary file; an artifact can't keep it. Write a copy instead."
            )
    return {name: FileRecord(sha256=sha256(path), size=path.stat().st_size) for name, path in files.items()}


def sync(path: Path) -> None:
    """Flush a file, or a folder's list of entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(folder: Path) -> None:
    """Flush everything below `folder`, and the folder itself."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def write_synced(path: Path, text: str) -> None:
    """Write a text file and flush it."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
