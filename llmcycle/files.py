"""Files as bytes: digests, manifests that know their own, and writing that a power cut cannot undo."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict


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
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return dict(sorted((path.relative_to(folder).as_posix(), path) for path in paths))


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


def mismatch(folder: Path, expected: Mapping[str, FileRecord], manifest: str) -> str:
    """Why `folder` does not hold exactly the `expected` files beside its manifest; "" if it does. Reads every byte."""
    present = listing(folder)
    present.pop(manifest, None)
    if missing := sorted(expected.keys() - present.keys()):
        return f"{missing[0]} is missing"
    if extra := sorted(present.keys() - expected.keys()):
        return f"{extra[0]} was not written with the rest"
    reasons = (_changed(name, present[name], file) for name, file in expected.items())
    return next((reason for reason in reasons if reason), "")


def _changed(name: str, path: Path, expected: FileRecord) -> str:
    if path.is_symlink() or not path.is_file():
        return f"{name} is no ordinary file"
    if (size := path.stat().st_size) != expected["size"]:
        return f"{name} has {size} bytes, expected {expected['size']}"
    if (digest := sha256(path)) != expected["sha256"]:
        return f"{name} has sha256 {digest}, expected {expected['sha256']}"
    return ""


def seal(manifest: Mapping[str, Any], default: Callable[[object], object] | None = None) -> str:
    """A manifest as JSON text with its own digest as the last key, so that no byte of it can change unseen."""
    body = {key: value for key, value in manifest.items() if key != "digest"}
    text = _dump(body, default)
    return _dump({**body, "digest": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"}, default)


def unseal(path: Path, keys: Sequence[str], version: int) -> dict[str, Any]:
    """The manifest that `seal` wrote to `path`.

    Raises:
        ValueError: with the reason alone: it is missing, no JSON, lacks one of `keys`, of another `format`, or changed.
    """
    try:
        text = path.read_bytes().decode()
        manifest: dict[str, Any] = json.loads(text)
    except FileNotFoundError:
        raise ValueError(f"{path.name} is missing") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not text ({error})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name} is not JSON ({error})") from None
    missing = [key for key in (*keys, "digest") if not isinstance(manifest, dict) or key not in manifest]
    if missing:
        raise ValueError(f"{path.name} has no key '{missing[0]}'")
    if manifest["format"] != version:
        raise ValueError(f"{path.name} has format {manifest['format']!r}, this version reads {version}")
    if seal(manifest) != text:
        raise ValueError(f"{path.name} was changed: its digest is not {manifest['digest']!r}")
    return manifest


def _dump(value: Mapping[str, Any], default: Callable[[object], object] | None) -> str:
    return json.dumps(value, indent=2, default=default) + "\n"


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
