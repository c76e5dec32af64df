"""The way from an artifact back to its data, and what may be deleted because no way leads to it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from llmcycle.artifact.artifact import Artifact
from llmcycle.artifact.identity import canonical
from llmcycle.artifact.store import ID_LENGTH, Store, size

REPORT = "report.json"
_ID = re.compile(rf'"(?:[^"\s/]+-)?([0-9a-f]{{{ID_LENGTH}}})(?:[0-9a-f]{{{64 - ID_LENGTH}}})?"')


@dataclass(frozen=True)
class Freed:
    """One folder or file that was, or in a dry run would be, deleted."""

    path: Path
    bytes: int

    def __str__(self) -> str:
        return f"{self.path}  {self.bytes / 1e6:.1f} MB"


def tree(store: Store, artifact: Artifact) -> str:
    """The artifact and everything that it was made from, one line each, down to the data."""
    lines = [_describe(artifact)]
    _branches(store, artifact, "", lines, seen={artifact.id})
    return "\n".join(lines)


def dependants(store: Store, artifact: Artifact) -> list[Artifact]:
    """Artifacts that were made directly from this one."""
    return _users(store).get(artifact.id, [])


def with_dependants(store: Store, artifacts: Iterable[Artifact]) -> list[Artifact]:
    """The artifacts and all that was made from them, each before what it was made from.

    So a removal in this order that is cut off leaves no artifact whose input is gone.
    """
    ordered: dict[str, Artifact] = {}
    users = _users(store)

    def visit(artifact: Artifact) -> None:
        if artifact.id not in ordered:
            for user in users.get(artifact.id, []):
                visit(user)
            ordered[artifact.id] = artifact

    for artifact in artifacts:
        visit(artifact)
    return list(ordered.values())


def roots(store: Store, outputs: Path) -> set[str]:
    """Ids that the run folders below `outputs` refer to, by a link into the store or in their report.json; and those
    that a user has given a name."""
    ids = {place.name[-ID_LENGTH:] for place in store.tags.values()}
    inside = store.root.resolve()
    for folder, folders, files in os.walk(outputs):
        entries = [Path(folder, name) for name in (*folders, *files)]
        folders[:] = [name for name in folders if Path(folder, name).resolve() != inside]
        targets = [entry.resolve() for entry in entries if entry.is_symlink()]
        ids.update(target.name[-ID_LENGTH:] for target in targets if target.parent == inside)
        if REPORT in files:
            ids.update(_ID.findall(Path(folder, REPORT).read_text(encoding="utf-8")))
    return ids


def reported(artifact: Artifact, outputs: Path) -> list[Path]:
    """Folders of the runs below `outputs` whose report names an artifact, the last one last."""
    paths = (path for path in outputs.rglob(REPORT) if artifact.id in _ID.findall(path.read_text(encoding="utf-8")))
    return [path.parent for path in sorted(paths, key=lambda path: path.stat().st_mtime)]


def gc(store: Store, keep: Collection[str], *, checkpoints: bool = False, dry_run: bool = False) -> list[Freed]:
    """Delete every artifact that is neither in `keep` nor an ancestor of one that is, and what killed runs left behind.

    Args:
        checkpoints: those of interrupted runs too, which then begin again.

    Raises:
        CorruptArtifact: when an artifact to be kept can't be read, so that its ancestors are unknown.
    """
    needed = _with_ancestors(store, keep)
    left = [*store.sweep(dry_run=dry_run), *store.sweep_unfinished(all=checkpoints, dry_run=dry_run)]
    freed = [Freed(path, bytes) for path, bytes in left]
    for artifact in store.artifacts():
        if artifact.folder.name[-ID_LENGTH:] in needed:
            continue
        freed.append(Freed(artifact.folder, size(artifact.folder)))
        if not dry_run:
            store.remove(artifact)
    return freed


def _users(store: Store) -> dict[str, list[Artifact]]:
    """What was made directly from each artifact, by id; every manifest is read once."""
    users: dict[str, list[Artifact]] = {}
    for artifact in store.artifacts():
        for id in _input_ids(artifact):
            users.setdefault(id, []).append(artifact)
    return users


def _with_ancestors(store: Store, ids: Collection[str]) -> set[str]:
    needed: set[str] = set()
    waiting = {id[:ID_LENGTH] for id in ids}
    while waiting:
        id = waiting.pop()
        needed.add(id)
        artifact = store.find(id)
        waiting |= _input_ids(artifact) - needed if artifact else set()
    return needed


def _input_ids(artifact: Artifact) -> set[str]:
    return {entry["id"][:ID_LENGTH] for entry in artifact.inputs.values() if "id" in entry}


def _branches(store: Store, artifact: Artifact, indent: str, lines: list[str], seen: set[str]) -> None:
    """Append one line for each input of `artifact`, each followed by its own inputs."""
    entries = [*artifact.inputs.items(), *_generated(artifact)]
    for position, (name, entry) in enumerate(entries, start=1):
        last = position == len(entries)
        parent = store.find(entry["id"]) if "id" in entry else None
        again = " (shown above)" if parent and parent.id in seen else ""
        lines.append(f"{indent}{'└─' if last else '├─'} {name}: {_describe(parent) if parent else _leaf(entry)}{again}")
        if parent and not again:
            seen.add(parent.id)
            _branches(store, parent, indent + ("   " if last else "│  "), lines, seen)


def _describe(artifact: Artifact) -> str:
    method = artifact.manifest.get("method")
    title = f"{artifact.name} ({method})" if method else artifact.name
    return "  ".join(part for part in (title, artifact.id, _headline(artifact), artifact.manifest["created"]) if part)


def _headline(artifact: Artifact) -> str:
    """The marked metric, or the first, and its value."""
    plain = {name: m if isinstance(m, Mapping) else {"value": m} for name, m in artifact.metrics.items()}
    name = next((name for name, metric in plain.items() if metric.get("headline")), next(iter(plain), None))
    if name is None:
        return ""
    value = plain[name].get("value")
    return f"{name} {value:.4g}" if isinstance(value, int | float) else f"{name} {value}"


def _leaf(entry: Mapping[str, Any]) -> str:
    if "id" in entry:
        return f"{entry['id']}  missing: deleted, or made in another store"
    facts = [str(entry[key]) for key in ("hub", "path", "target", "revision", "digest") if entry.get(key)]
    return "  ".join(facts) or json.dumps(dict(entry))


def _generated(artifact: Artifact) -> list[tuple[str, dict[str, str]]]:
    """The data: files by path and digest; a generator or a Hub set by its target and the digest of its settings."""
    files = artifact.manifest.get("data") or {}
    if files:
        return [(f"data.{key}", dict(entry)) for key, entry in files.items()]
    data = artifact.manifest.get("config", {}).get("data") or {}
    if not isinstance(data, Mapping) or "_target_" not in data:
        return []
    digest = sha256(canonical(data).encode()).hexdigest()
    name = str(data["_target_"]) if "train" not in data else str(data["train"])
    return [("data", {"target": name, "digest": f"sha256:{digest}"})]
