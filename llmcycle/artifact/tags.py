"""Names that users give to artifacts."""

from __future__ import annotations

import os
import re

from llmcycle.artifact.artifact import Artifact
from llmcycle.artifact.store import TAGS, Store

NAME = re.compile(r"[A-Za-z][\w.-]{0,99}")
ID = re.compile(r"(.+-)?[0-9a-f]{4,64}")


def tag(store: Store, artifact: Artifact, name: str) -> str:
    """Give an artifact a name, which it takes from another that has it; gives the folder of that one, or "".

    Raises:
        ValueError: it is no name, or one by which an artifact is known already.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"{name}: a tag begins with a letter, and letters, digits and . _ - follow")
    if ID.fullmatch(name):
        raise ValueError(f"{name}: it looks like the start of an id, and would be taken for one")
    if name in {each.name for each in store.artifacts()}:
        raise ValueError(f"{name}: artifacts are called so by their stage, and a tag is a name of its own")
    if os.path.lexists(name):
        raise ValueError(f"{name}: a file or folder here has this name, and would be taken for it")
    with store.referring():
        before = store.tags.get(name)
        link = store.root / TAGS / name
        link.parent.mkdir(exist_ok=True)
        fresh = link.with_name(f".{name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.path.join("..", artifact.folder.name), target_is_directory=True)
        fresh.replace(link)  # in one step, so that the name is never without an artifact
    return before.name if before and before.name != artifact.folder.name else ""


def untag(store: Store, artifact: Artifact, name: str) -> None:
    """Take a name from an artifact.

    Raises:
        ValueError: it has not this name.
    """
    with store.referring():
        if (place := store.tags.get(name)) is None or place.name != artifact.folder.name:
            known = ", ".join(tags_of(store, artifact)) or "none"
            raise ValueError(f"{name}: {artifact.folder.name} has no such tag; it has {known}")
        (store.root / TAGS / name).unlink()


def tags_of(store: Store, artifact: Artifact) -> list[str]:
    """The names that an artifact has been given."""
    return [name for name, place in store.tags.items() if place.name == artifact.folder.name]
