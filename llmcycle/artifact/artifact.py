"""One artifact: an ordinary folder plus `artifact.json`, which can tell whether a single byte of it has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llmcycle.artifact.files import FileRecord, listing, sha256

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
            text = (self.folder / MANIFEST).read_bytes().decode()
        except FileNotFoundError:
            raise self._corrupt(f"{MANIFEST} is missing") from None
        except UnicodeDecodeError as error:
            raise self._corrupt(f"{MANIFEST} is not text ({error})") from None
        return self._parse(text)

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
        expected = self.files
        present = listing(self.folder)
        present.pop(MANIFEST, None)
        if missing := sorted(expected.keys() - present.keys()):
            raise self._corrupt(f"{missing[0]} is missing")
        if extra := sorted(present.keys() - expected.keys()):
            raise self._corrupt(f"{extra[0]} was not written by the stage")
        for name, file in expected.items():
            self._verify_file(name, present[name], file)

    def _verify_file(self, name: str, path: Path, expected: FileRecord) -> None:
        if path.is_symlink() or not path.is_file():
            raise self._corrupt(f"{name} is no ordinary file")
        if (size := path.stat().st_size) != expected["size"]:
            raise self._corrupt(f"{name} has {size} bytes, expected {expected['size']}")
        if (found := sha256(path)) != expected["sha256"]:
            raise self._corrupt(f"{name} has sha256 {found}, expected {expected['sha256']}")

    def _parse(self, text: str) -> dict[str, Any]:
        try:
            manifest: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError as error:
            raise self._corrupt(f"{MANIFEST} is not JSON ({error})") from None
        missing = [key for key in (*RECORDED, "digest") if not isinstance(manifest, dict) or key not in manifest]
        if missing:
            raise self._corrupt(f"{MANIFEST} has no key '{missing[0]}'")
        if manifest["format"] != FORMAT:
            raise self._corrupt(f"{MANIFEST} has format {manifest['format']!r}, this version reads {FORMAT}")
        if render(manifest) != text:
            raise self._corrupt(f"{MANIFEST} was changed: its digest is not {manifest['digest']!r}")
        return manifest

    def _corrupt(self, reason: str) -> CorruptArtifact:
        remedy = f"Delete {self.folder} and run its stage again, or fetch the folder again if it was copied here."
        return CorruptArtifact(f"{self.folder}: {reason}. {remedy}")


def render(manifest: Mapping[str, Any]) -> str:
    """The manifest as JSON text with its own digest as the last key, so that no byte of it can change unseen."""
    body = {key: value for key, value in manifest.items() if key != "digest"}
    text = _dump(body)
    return _dump({**body, "digest": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"})


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, default=_plain) + "\n"


def _plain(value: object) -> object:
    """Dataclasses (metrics) and paths as JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise ValueError(f"a manifest holds plain JSON values, and {value!r} ({type(value).__name__}) is none.")
