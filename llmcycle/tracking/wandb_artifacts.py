"""The store's artifacts as W&B shows them: references to their files, with digests, so that nothing is copied."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import Any

import wandb

from llmcycle.artifact import Artifact
from llmcycle.files import listing
from llmcycle.masking import masked

NAME = re.compile(r"[^\w.-]")  # what W&B takes in no name
CONFIGS = ("config.json", "adapter_config.json")  # of a model, or of an adapter of one


def of_store(artifact: Artifact) -> Any:
    """An artifact of the store. The same one gives the same digest in every run, so that W&B sees one and the same."""
    facts = {key: artifact.manifest.get(key) for key in ("id", "identity", "method", "created", "digest", "inputs")}
    facts |= {"metrics": {name: metric["value"] for name, metric in artifact.metrics.items()}}
    type = "model" if any((artifact.folder / name).exists() for name in CONFIGS) else "result"
    return referring(artifact.name, type, facts, [artifact.folder])


def of_sources(artifact: Artifact) -> list[Any]:
    """What an artifact was made from that is none of the store: data on this disk, a folder with a model, a name on the
    Hub."""
    recorded = {"model": artifact.inputs, "dataset": artifact.manifest.get("data") or {}}
    places = [(type, entry) for type, entries in recorded.items() for entry in entries.values()]
    return [made for type, entry in places if "id" not in entry for made in of_source(type, entry)]


def of_source(type: str, entry: dict[str, Any]) -> list[Any]:
    """One of them; nothing where it is no longer there."""
    if hub := entry.get("hub"):
        uri = f"https://huggingface.co/{'datasets/' * (type == 'dataset')}{hub}/tree/{entry.get('revision', 'main')}"
        made = wandb.Artifact(name_of(hub), type=type, metadata=dict(entry))
        made.add_reference(uri, name="hub", checksum=False)
        return [made]
    paths = [Path(path) for path in sorted(glob.glob(str(entry["path"]), recursive=True)) or [entry["path"]]]
    there = [path for path in paths if path.exists()]
    return [referring(paths[0].name, type, dict(entry), there)] if there else []


def referring(name: str, type: str, metadata: dict[str, Any], paths: list[Path]) -> Any:
    """An artifact of references to files and folders on this disk."""
    made = wandb.Artifact(name_of(name), type=type, metadata=masked(metadata))
    for name, path in (each for place in paths for each in files(place).items()):
        made.add_reference(path.resolve().as_uri(), name=name)
    return made


def files(place: Path) -> dict[str, Path]:
    """One by one, since W&B says on the terminal that it reads a folder."""
    return listing(place) if place.is_dir() else {place.name: place}


def name_of(text: str) -> str:
    """A name that W&B takes."""
    return NAME.sub("-", text)[:128]


def log(run: Any, artifact: Any, *aliases: str, used: bool = False) -> None:
    """Record that a run has made an artifact, or used one, which need not be known to W&B yet.

    The record is written to the run's file, from where it is sent, as W&B does it offline. Its own methods ask the
    server first, wait for it, and write nothing down when it does not answer; `use_artifact` refuses offline.
    """
    ready, names = run._prepare_artifact(artifact, aliases=list(aliases))
    run._interface.publish_artifact(run, ready, names, is_user_created=used, use_after_commit=used)
