"""The verbs that read a store or take something out of it; none of them imports torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from llmcycle.artifact import MANIFEST, Artifact, roots, tags_of, tree, untag, with_dependants
from llmcycle.artifact import gc as collect
from llmcycle.artifact import tag as give
from llmcycle.catalogue import artifact_rows, card, difference, run_rows
from llmcycle.config.errors import ConfigError
from llmcycle.references import FIRST_ARTIFACT, artifact_folder, artifact_of, few, store_of
from llmcycle.report.sweep import render
from llmcycle.surroundings import outputs_word


def lineage(options: argparse.Namespace) -> None:
    """Print the tree from an artifact back to the data."""
    folder = artifact_folder(options.artifact, options.outputs)
    store = store_of(options.outputs)
    if not (folder / MANIFEST).is_file():
        made = [artifact.folder.name for artifact in store.artifacts()]
        near = few(options.artifact, made) if made else FIRST_ARTIFACT
        raise ConfigError(str(folder), f"it is no artifact: it holds no {MANIFEST}", near)
    print(tree(store, Artifact(folder)))


def artifacts(options: argparse.Namespace) -> None:
    """List the artifacts of the store: headline, size, when they were made and from what."""
    print(render(artifact_rows(store_of(options.outputs))))


def runs(options: argparse.Namespace) -> None:
    """List the runs and sweeps whose reports are there."""
    print(render(run_rows(Path(options.outputs))))


def show(options: argparse.Namespace) -> None:
    """Show an artifact: what made it, its curve, answers, metrics, lineage, and what was made of it."""
    artifact = artifact_of(options.artifact, options.outputs)
    card(store_of(options.outputs), artifact, outputs_word(options.outputs))


def diff(options: argparse.Namespace) -> None:
    """Say what sets two artifacts apart: settings, metrics with paired intervals, answers."""
    both = (artifact_of(reference, options.outputs) for reference in (options.artifact, options.other))
    print(difference(*both))


def tag(options: argparse.Namespace) -> None:
    """Give an artifact names of your own, by which every recipe and verb finds it; gc keeps what has one."""
    store, artifact = store_of(options.outputs), artifact_of(options.artifact, options.outputs)
    for name in options.names:
        if options.remove:
            untag(store, artifact, name)
        elif taken := give(store, artifact, name):
            print(f"{name} was a tag of {taken} before")
    print(f"{artifact.folder.name}: {', '.join(tags_of(store, artifact)) or 'no tag'}")


def rm(options: argparse.Namespace) -> int | None:
    """Remove artifacts, with all that was made of them."""
    store = store_of(options.outputs)
    meant = [artifact_of(reference, options.outputs) for reference in options.artifacts]
    for artifact in meant:
        if artifact.folder.resolve().parent != store.root.resolve():
            elsewhere = f"llmcycle rm {artifact.folder.name} --outputs {artifact.folder.parent.parent}"
            raise ConfigError(str(artifact.folder), f"it does not lie in {store.root}", elsewhere)
    going = with_dependants(store, meant)
    print("\n".join(artifact.folder.name for artifact in going))
    if not options.yes and not agreed(going, options.artifacts):
        print("nothing was removed")
        return 1
    with store.referring():  # taken after the answer, so that nobody's run waits for a person
        if {each.id for each in with_dependants(store, meant)} - {each.id for each in going}:
            reason = "others were made of them meanwhile"
            raise ConfigError("rm", reason, f"llmcycle rm {' '.join(options.artifacts)}")
        for artifact in going:
            store.remove(artifact)
    print(f"{len(going)} removed")
    return None


def agreed(going: Sequence[Artifact], typed: Sequence[str]) -> bool:
    """Whether a person says yes.

    Raises:
        ConfigError: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise ConfigError("rm", "there is no terminal to ask for a yes", f"llmcycle rm {' '.join(typed)} --yes")
    question = f"remove {'it' if len(going) == 1 else f'these {len(going)}'}? [y/N] "
    return input(question).strip().lower() in ("y", "yes")


def gc(options: argparse.Namespace) -> None:
    """Remove artifacts that no run refers to, living ones included, and what interrupted runs left."""
    store = store_of(options.outputs)
    with store.referring():
        needed = roots(store, Path(options.outputs))
        freed = collect(store, needed, checkpoints=options.checkpoints, dry_run=options.dry_run)
    for item in freed:
        print(item)
    print(f"{len(freed)} {'would be ' if options.dry_run else ''}removed")
