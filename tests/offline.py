"""Offline runs of W&B, read back from the files that `wandb sync` would upload."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as proto

BLOCK = 32768  # bytes of a block of LevelDB's log format, in which .wandb files are written
HEADER = 7  # bytes before a chunk (checksum 4, length 2, type 1), and at the start of the file


def records(path: Path) -> Iterator[proto.Record]:
    """The records of a .wandb file: https://github.com/google/leveldb/blob/main/doc/log_format.md."""
    data, place, whole = path.read_bytes(), HEADER, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        whole += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # a full record, or the last chunk of one
            record = proto.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def read(folder: Path) -> dict[str, list[Any]]:
    """Everything in a folder's only offline run, by kind of record.

    wandb's service writes the last records a moment after `finish` has returned, and all of them before it ends itself.
    """
    (path,) = folder.rglob("*.wandb")
    deadline = time.monotonic() + 10
    found: dict[str, list[Any]] = {}
    while "exit" not in found and time.monotonic() < deadline:
        found = by_kind(path)
        time.sleep(0.02)
    assert "exit" in found, "the run was never finished"
    return found


def by_kind(path: Path) -> dict[str, list[Any]]:
    """The records of a .wandb file as far as it was written."""
    found: dict[str, list[Any]] = {}
    for record in records(path):
        kind = record.WhichOneof("record_type")
        found.setdefault(kind, []).append(getattr(record, kind))
    return found


def values(items: Any) -> dict[str, Any]:
    """The items of a record by key."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


@dataclass(frozen=True)
class Offline:
    """One offline run."""

    folder: Path
    kinds: dict[str, list[Any]]

    @property
    def run(self) -> Any:
        return self.kinds["run"][-1]

    @property
    def started(self) -> int:
        """When, in nanoseconds."""
        return int(self.kinds["run"][0].start_time.ToNanoseconds())

    @property
    def config(self) -> dict[str, Any]:
        """The final one."""
        updates = [item for run in self.kinds["run"] for item in run.config.update]
        return values([*updates, *(item for config in self.kinds.get("config", []) for item in config.update)])

    @property
    def summary(self) -> dict[str, Any]:
        return values([item for summary in self.kinds.get("summary", []) for item in summary.update])

    @property
    def history(self) -> list[dict[str, Any]]:
        return [values(row.item) for row in self.kinds.get("history", [])]

    def curve(self, name: str) -> list[tuple[int, float]]:
        """The points of a curve by Lightning's step."""
        return [(row["trainer/global_step"], row[name]) for row in self.history if name in row]

    def table(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table."""
        (path,) = [row[f"{name}/path"] for row in self.history if f"{name}/path" in row]
        content = json.loads((self.folder / "files" / path).read_text("utf-8"))
        return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]

    def artifacts(self, *, used: bool) -> dict[str, Any]:
        """The records of artifacts that the run has used, or made, by `name:alias`; its tables' are left out."""
        every = [each for each in self.kinds.get("artifact", []) if each.type != "run_table"]
        return {label(each): each for each in every if each.use_after_commit == used}


def label(artifact: Any) -> str:
    """A name and that alias which is an id."""
    ids = [alias for alias in artifact.aliases if alias != "latest"]
    return ":".join([artifact.name, *ids])


def runs(folder: Path) -> list[Offline]:
    """Every finished offline run below a folder, the oldest first; links to others are left out."""
    folders = [path.parent for path in folder.rglob("*.wandb") if not path.parent.is_symlink()]
    # Not by the folder's name, which tells the second alone: two runs of one second would stand by their ids.
    return sorted((Offline(each, read(each)) for each in folders), key=lambda each: each.started)
