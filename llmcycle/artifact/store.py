"""The store: one folder an artifact, written under a lock and renamed into place, so that half of one never exists."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from llmcycle.artifact.artifact import FORMAT, MANIFEST, RECORDED, Artifact, render
from llmcycle.files import record, sync, sync_all, write_synced

TAGS = ".tags"  # in a store: a link for each name that a user has given
UNFINISHED = ".unfinished"  # in a store: what interrupted runs can go on from
ID_LENGTH = 12  # hex digits of the identity
_FOLDER = re.compile(rf"(?P<name>.+)-(?P<id>[0-9a-f]{{{ID_LENGTH}}})")
_IDENTITY = re.compile(rf"[0-9a-f]{{{ID_LENGTH},64}}")
_PREFIX = re.compile(r"(?:(?P<name>[^/]+)-)?(?P<id>[0-9a-f]{4,64})")


class AmbiguousId(ValueError):
    """The start of several artifacts' ids, or the name of several.

    Args:
        start: what was typed.
        names: the artifacts that it may mean.
    """

    def __init__(self, start: str, names: Sequence[str]) -> None:
        self.reason = f"`{start}` may mean several artifacts"
        self.names = list(names)
        super().__init__(f"{self.reason}\n  try: one of: {', '.join(names)}")


@dataclass
class Draft:
    """Work in progress: an empty folder that becomes an artifact by `commit`, and vanishes without it."""

    store: Store
    name: str
    identity: str
    folder: Path
    existing: Artifact | None = None  # somebody else finished it while we waited
    committed: Artifact | None = field(default=None, init=False)

    def commit(self, manifest_fields: Mapping[str, Any]) -> Artifact:
        """Record every file, flush it to the disk, write the manifest last and rename the folder into place.

        Args:
            manifest_fields: what the run knows: method, config, seed, inputs, metrics, versions, ...

        Raises:
            ValueError: for a field that the store writes itself, a value that JSON doesn't have, or a link.
        """
        if taken := [key for key in (*RECORDED, "digest") if key in manifest_fields]:
            raise ValueError(f"manifest field '{taken[0]}' is written by the store itself. Leave it out.")
        text = render(self._recorded() | dict(manifest_fields))
        sync_all(self.folder)
        write_synced(self.folder / MANIFEST, text)
        sync(self.folder)
        self.committed = self.store._place(self.folder, self.name, self.identity)
        return self.committed

    def _recorded(self) -> dict[str, Any]:
        files = record(self.folder)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        values = (FORMAT, self.identity[:ID_LENGTH], self.identity, self.name, created, files)
        return dict(zip(RECORDED, values, strict=True))


@dataclass(frozen=True)
class Store:
    """Artifacts below one folder, `NAME-ID` each; work in progress and locks are in its `.partial`."""

    root: Path

    @property
    def partial(self) -> Path:
        """Where unfinished work is."""
        return self.root / ".partial"

    def folder(self, name: str, id: str) -> Path:
        """Where the artifact is, or would be; `id` may be the full identity."""
        return self.root / f"{name}-{id[:ID_LENGTH]}"

    def unfinished(self, id: str) -> Path:
        """Where the stage that will have this id keeps what an interrupted run can go on from."""
        return self.root / UNFINISHED / id[:ID_LENGTH]

    def artifacts(self) -> list[Artifact]:
        """All of them, by folder name."""
        manifests = self.root.glob(f"*/{MANIFEST}") if self.root.is_dir() else ()
        return [Artifact(path.parent) for path in sorted(manifests) if _FOLDER.fullmatch(path.parent.name)]

    def find(self, reference: str | Path) -> Artifact | None:
        """An artifact by its path, by a tag, by the start of its id (4 digits or more), with or without its name
        before, or by its name where only one has it.

        Raises:
            AmbiguousId: when several ids start that way, or several artifacts have this name.
        """
        for folder in (Path(reference), self.root / reference):
            if (folder / MANIFEST).is_file():
                return Artifact(folder)
        if Path(reference).exists():
            return None
        if (tagged := self.tags.get(str(reference))) is not None:
            return Artifact(tagged)
        if start := _PREFIX.fullmatch(str(reference)):
            return self._by_prefix(start["id"], start["name"])
        return self._only([each for each in self.artifacts() if each.folder.name[: -ID_LENGTH - 1] == reference])

    @staticmethod
    def _only(artifacts: Sequence[Artifact]) -> Artifact | None:
        if len(artifacts) > 1:
            raise AmbiguousId(artifacts[0].name, [artifact.folder.name for artifact in artifacts])
        return artifacts[0] if artifacts else None

    @property
    def tags(self) -> dict[str, Path]:
        """The folder of each artifact that a user has given a name, by that name; a link out of the store is none."""
        links = sorted((self.root / TAGS).glob("*")) if (self.root / TAGS).is_dir() else ()
        places = {link.name: self.root / link.readlink().name for link in links if link.is_symlink()}
        return {name: place for name, place in places.items() if (place / MANIFEST).is_file()}

    @contextmanager
    def write(
        self, name: str, id: str, *, on_wait: Callable[[], None] | None = None, replace: bool = False
    ) -> Iterator[Draft]:
        """Lock the id and hand out an empty folder; `draft.existing` holds the artifact if there is one by now.

        Args:
            name: the stage's name.
            id: the full identity (`identify`).
            on_wait: called once if another process holds the lock, before waiting for it.
            replace: write it again though it exists (`--force`); the old one stays until the commit.
        """
        assert _IDENTITY.fullmatch(id), id
        with self._lock(id, on_wait):
            existing = None if replace else self._by_prefix(id)
            folder = self.partial / id[:ID_LENGTH]
            _wipe(folder)
            folder.mkdir()
            try:
                yield Draft(self, name, id, folder, existing)
            finally:
                _wipe(folder)

    @contextmanager
    def referring(self) -> Iterator[None]:
        """Hold this while looking up artifacts and writing down that they are needed, or removing those that are not.

        So `gc` sees either no trace of a run, whose lookup then comes after the removal, or all that it refers to.
        """
        with self._lock("references", None):
            yield

    def remove(self, artifact: Artifact) -> None:
        """Delete an artifact: out of sight in one step, then its files."""
        match = _FOLDER.fullmatch(artifact.folder.name)
        assert match, artifact.folder
        for name in [name for name, place in self.tags.items() if place.name == artifact.folder.name]:
            (self.root / TAGS / name).unlink(missing_ok=True)
        with self._lock(match["id"], None):
            gone = self.partial / f"{match['id']}.gone"
            _wipe(gone)
            if artifact.folder.exists():
                artifact.folder.rename(gone)
            _wipe(gone)

    def sweep(self, *, dry_run: bool = False) -> list[tuple[Path, int]]:
        """Delete what killed processes left in `.partial`; what a living one holds stays. Gives paths and bytes."""
        return self._swept(sorted(self.partial.glob("*")), dry_run)

    def sweep_unfinished(self, *, all: bool = False, dry_run: bool = False) -> list[tuple[Path, int]]:
        """Delete checkpoints of finished stages, or of all that nobody is at work on. Gives paths and bytes."""
        folders = sorted((self.root / UNFINISHED).glob("*"))
        return self._swept([path for path in folders if all or self._by_prefix(path.name)], dry_run)

    def _swept(self, paths: Sequence[Path], dry_run: bool) -> list[tuple[Path, int]]:
        swept: list[tuple[Path, int]] = []
        for path in paths:
            self.partial.mkdir(exist_ok=True)
            try:
                with FileLock(self._lock_path(path.name), timeout=0):
                    if path.suffix != ".lock":
                        swept.append((path, size(path)))
                    if not dry_run:
                        _wipe(path)
                    self._lock_path(path.name).unlink(missing_ok=True)
            except Timeout:
                continue  # somebody is at work there
        return swept

    def _by_prefix(self, prefix: str, name: str | None = None) -> Artifact | None:
        places = ((artifact, _FOLDER.fullmatch(artifact.folder.name)) for artifact in self.artifacts())
        matches = [
            artifact
            for artifact, place in places
            if place and place["id"].startswith(prefix[:ID_LENGTH]) and name in (None, place["name"])
        ]
        if len(prefix) > ID_LENGTH:
            matches = [artifact for artifact in matches if artifact.manifest["identity"].startswith(prefix)]
        if len(matches) > 1:
            raise AmbiguousId(prefix, [artifact.folder.name for artifact in matches])
        return matches[0] if matches else None

    def _place(self, folder: Path, name: str, identity: str) -> Artifact:
        """Rename a finished folder into the store, in the place of an older one if there is one."""
        target, gone = self.folder(name, identity), self.partial / f"{identity[:ID_LENGTH]}.gone"
        for old in self.root.glob(f"*-{identity[:ID_LENGTH]}"):
            _wipe(gone)
            old.rename(gone)
        folder.rename(target)
        sync(self.root)
        _wipe(gone)
        return Artifact(target)

    @contextmanager
    def _lock(self, id: str, on_wait: Callable[[], None] | None) -> Iterator[None]:
        self._refuse_links()
        self.partial.mkdir(parents=True, exist_ok=True)
        path = self._lock_path(id[:ID_LENGTH])
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if on_wait:
                on_wait()
            lock.acquire()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while we hold it; a waiter notices and takes the next file of this name
            lock.release()

    def _refuse_links(self) -> None:
        """ValueError for a store, perhaps of somebody else, whose own folders lie elsewhere and would be emptied."""
        for place in (self.partial, self.root / UNFINISHED, self.root / TAGS):
            if place.is_symlink():
                remedy = "outputs=FOLDER, a store whose folders lie in it"
                raise ValueError(f"{place}: it is a link to {os.readlink(place)}, out of the store\n  try: {remedy}")

    def _lock_path(self, entry: str) -> Path:
        return self.partial / f"{entry.partition('.')[0]}.lock"


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _wipe(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
