"""Everything that an artifact says of itself, for a terminal."""

from __future__ import annotations

from llmcycle import left
from llmcycle.artifact import Artifact, Store, dependants, tags_of, tree
from llmcycle.catalogue.listing import lead
from llmcycle.report import print_stage, print_table
from llmcycle.report.numbers import duration, number


def card(store: Store, artifact: Artifact, where: str = "") -> None:
    """Print what made it, how its training went, some of its answers, its metrics, where it came from and what was
    made of it.

    Args:
        where: what a verb is told beside an id to find the store.
    """
    tags = tags_of(store, artifact)
    print("\n".join([*facts(artifact), *([f"tags     {', '.join(tags)}"] if tags else [])]))
    record = left.record(artifact)
    print_stage(record)
    for sample in record.samples[:3]:
        print(f"  {sample['prompt']} -> {sample['answer']}")
    known = [each.folder.name.rpartition("-")[2] for each in store.artifacts()]
    print_table([record], known=known, store=where)
    print(f"\n{tree(store, artifact)}")
    if made := dependants(store, artifact):
        print(f"used by: {', '.join(each.folder.name for each in made)}")


def facts(artifact: Artifact) -> list[str]:
    """The head of the card."""
    manifest = artifact.manifest
    size = sum(int(record["size"]) for record in artifact.files.values())
    took = f", {duration(float(manifest['seconds']))}" if "seconds" in manifest else ""
    return [
        f"{artifact.name} ({manifest.get('method', '')})  {artifact.id}  {lead(artifact.metrics)}",
        f"folder   {artifact.folder}, {number(size, 'bytes')}",
        f"made     {manifest['created']}{took}, seed {manifest.get('seed')}",
        f"command  {manifest.get('command', '')}",
    ]
