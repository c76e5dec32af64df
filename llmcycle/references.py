"""What a verb's words refer to: the store, an artifact of it, any folder of a model, the folder of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llmcycle.artifact import Artifact, Store, reported
from llmcycle.config.errors import ConfigError, alike, choose, nearest
from llmcycle.config.options import choice
from llmcycle.config.sources import holds_model

FIRST_ARTIFACT = "llmcycle pretrain, for an artifact of its own"


def store_of(outputs: str) -> Store:
    """The store below `outputs`.

    Raises:
        ConfigError: there is none.
    """
    store = Store(Path(outputs) / "artifacts")
    if not store.root.is_dir():
        raise ConfigError(str(store.root), "there is no store here", "--outputs FOLDER, the one that holds artifacts")
    return store


def artifact_of(reference: str, outputs: str) -> Artifact:
    """An artifact named by path, `name-id` or the start of its id.

    Raises:
        ConfigError: the store has none of this name; the remedy is the nearest.
    """
    store = store_of(outputs)
    artifact = store.find(reference)
    if artifact is None:
        made = [each.folder.name for each in store.artifacts()]
        near = few(reference, made) if made else FIRST_ARTIFACT
        raise ConfigError(reference, f"there is no such artifact in {store.root}", near)
    return artifact


def artifact_folder(reference: str, outputs: str) -> Path:
    """The folder of an artifact, whose files are verified; any model folder will do as well."""
    store = Store(Path(outputs) / "artifacts")
    artifact = store.find(reference)
    if artifact is None and not Path(reference).is_dir():
        reason = f"there is no such folder, and no such artifact in {store.root}"
        raise ConfigError(reference, reason, there(reference, store))
    if artifact is not None:
        artifact.verify()
    return artifact.folder if artifact else Path(reference)


def model_folder(reference: str, outputs: str) -> Path:
    """The same, of what holds a model that can be asked."""
    folder = artifact_folder(reference, outputs)
    if not holds_model(folder):
        reason = "it holds no model (no config.json, no adapter_config.json in it)"
        raise ConfigError(reference, reason, there(reference, Store(Path(outputs) / "artifacts")))
    return folder


def there(reference: str, store: Store) -> str:
    """The artifact, or the folder with a model, that has the nearest name; where there is none, what makes some."""
    made = [artifact.folder.name for artifact in store.artifacts()]
    here = [path.parent.name for path in Path().glob("*/config.json")]
    none = "llmcycle lifecycle, or outputs=FOLDER of another store"
    return few(reference, made, here) if made or here else none


def few(reference: str, made: list[str], here: Sequence[str] = ()) -> str:
    """The nearest of the artifacts and folders, or a choice of a few."""
    near = nearest(reference, here)
    return choice([near] if near else alike(reference, made) or [*made, *here])


def run_folder(reference: str, outputs: str) -> Path:
    """A folder as it is typed, or that of the last run that an artifact was made or used in."""
    store = Store(Path(outputs) / "artifacts")
    if any([*Path(reference).glob("report.json"), *Path(reference).glob("*/report.json")]):
        return Path(reference)
    artifact = None if Path(reference).is_dir() else store.find(reference)
    if runs := reported(artifact, Path(outputs)) if artifact else []:
        return runs[-1]
    made = sorted(str(path.parent) for path in Path(outputs).glob("*/*/report.json"))
    near = choose(reference, made) if made else "llmcycle pretrain, for a run to compare"
    known = "no run reports this artifact" if artifact else ""
    reason = known or "there is no report.json in it, so it is no folder of a run or of a sweep"
    raise ConfigError(reference, reason, near)
