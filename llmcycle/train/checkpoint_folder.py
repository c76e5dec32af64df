"""Checkpoints on the disk: committed whole or not at all, verified when read, pruned only once the next one is safe."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmcycle.files import mismatch, record, seal, sync, sync_all, unseal, write_synced
from llmcycle.train.sharded_state import refuse_code

MANIFEST = "checkpoint.json"
STATE = "state.ckpt"  # Lightning's: one file, or a folder of shards
FORMAT = 1
_NAME = re.compile(r"step-(\d{8})")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose every byte was found as it was written.

    Args:
        folder: `step-XXXXXXXX`.
        step: optimizer steps taken.
        facts: what the run wrote beside the state: see `Checkpoints`.
    """

    folder: Path
    step: int
    facts: dict[str, Any]

    @property
    def state(self) -> Path:
        """What Lightning loads."""
        return self.folder / STATE


def place(root: Path, step: int) -> Path:
    """Where the checkpoint of a step is."""
    return root / f"step-{step:08d}"


def begin(root: Path, step: int) -> Path:
    """An empty folder to write a checkpoint into; what a killed process left there is gone."""
    folder = root / f".partial-{step:08d}"
    for left in root.glob(".partial-*"):
        shutil.rmtree(left)
    folder.mkdir(parents=True)
    return folder


def commit(folder: Path, root: Path, step: int, facts: dict[str, Any]) -> Checkpoint:
    """Flush everything in `folder`, write the manifest last, and rename it into place."""
    sync_all(folder)
    manifest = {"format": FORMAT, "step": step, "facts": facts, "files": record(folder)}
    write_synced(folder / MANIFEST, seal(manifest))
    sync(folder)
    target = place(root, step)
    if target.exists():  # a resumed run came by here again
        shutil.rmtree(target)
    os.rename(folder, target)
    sync(root)
    return Checkpoint(target, step, facts)


def prune(root: Path, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints."""
    for folder in folders(root)[keep:]:
        shutil.rmtree(folder)


def folders(root: Path) -> list[Path]:
    """Folders that look like checkpoints, the newest first."""
    return sorted((path for path in root.glob("step-*") if _NAME.fullmatch(path.name)), reverse=True)


def read(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`.

    Raises:
        ValueError: with the reason, for one that is not byte for byte what was written, or would run code when read.
    """
    manifest = unseal(folder / MANIFEST, ("format", "step", "facts", "files"), FORMAT)
    if reason := mismatch(folder, manifest["files"], MANIFEST):
        raise ValueError(reason)
    if (folder / STATE).is_dir():
        refuse_code(folder / STATE)
    return Checkpoint(folder, int(manifest["step"]), dict(manifest["facts"]))


def newest(root: Path, passed: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint that verifies; `passed` hears of each newer one why it was passed over."""
    for folder in folders(root) if root.is_dir() else []:
        try:
            return read(folder)
        except ValueError as error:
            passed(f"checkpoint {folder.name} is passed over: {error}")
    return None


def choose(resume: str, root: Path, passed: Callable[[str], None]) -> Checkpoint | None:
    """What to go on from: `auto` the newest in `root` that verifies, `never` nothing, else the folder that is named.

    Raises:
        ValueError: the named folder is no whole checkpoint.
    """
    if resume == "never":
        return None
    if resume == "auto":
        return newest(root, passed)
    try:
        return read(Path(resume).expanduser())
    except ValueError as error:
        raise ValueError(f"resume: {resume} is no whole checkpoint: {error}; try resume=auto or resume=never") from None
