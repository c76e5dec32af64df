"""One artifact: an ordinary folder plus `artifact.json`, which can tell whether a single byte of it has changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llmcycle.files import FileRecord, mismatch, seal, unseal

MANIFEST = "artifact.json"
FORMAT = 1
RECORDED = ("format", "id", "identity", "name", "created", "files")  # every manifest has them, whatever the stage adds


class CorruptArtifact(ValueError):
    """An artifact whose files are not the ones that its stage wrote."""


@dataclass(frozen=True)
class Artifact:
    """A finished artifact's folder. The manifest is read, and checked against its own digest, at the first use.

    Raises:
        CorruptArtifact: from any attribute, when `artifact.json` is missing, malformed or changed.
    """

    folder: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Everything that was recorded; see `Draft.commit`."""
        try:
            return unseal(self.folder / MANIFEST, RECORDED, FORMAT)
        except ValueError as error:
            raise self._corrupt(str(error)) from None

    @cached_property
    def glance(self) -> dict[str, Any]:
        """The manifest as it stands, which is not held against its own digest: for lists of many."""
        try:
            manifest: dict[str, Any] = json.loads((self.folder / MANIFEST).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise self._corrupt(str(error)) from None
        return manifest

    @property
    def id(self) -> str:
        """The first 12 hex digits of the identity."""
        return str(self.manifest["id"])

    @property
    def name(self) -> str:
        """The stage's name in the recipe that made it."""
        return str(self.manifest["name"])

    @property
    def inputs(self) -> dict[str, dict[str, Any]]:
        """What it was made from, by input: {"id"}, {"digest", "path"} or {"hub", "revision"}."""
        return dict(self.manifest.get("inputs", {}))

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """Metrics as plain mappings, the headline first."""
        return dict(self.manifest.get("metrics", {}))

    @property
    def files(self) -> dict[str, FileRecord]:
        """Digest and size of every file but the manifest, by relative name."""
        return dict(self.manifest["files"])

    def verify(self) -> None:
        """Read every byte again.

        Raises:
            CorruptArtifact: at the first file that is missing, unknown, a link, or of another size or sha256.
        """
        if reason := mismatch(self.folder, self.files, MANIFEST):
            raise self._corrupt(reason)

    def _corrupt(self, reason: str) -> CorruptArtifact:
        remedy = "Type the command of its stage again with --force, or fetch the folder again if it was copied here."
        return CorruptArtifact(f"{self.folder}: {reason}. {remedy}")


def render(manifest: Mapping[str, Any]) -> str:
    """The manifest as sealed JSON text."""
    return seal(manifest, _plain)


def _plain(value: object) -> object:
    """Dataclasses (metrics) and paths as JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise ValueError(f"a manifest holds plain JSON values, and {value!r} ({type(value).__name__}) is none.")
