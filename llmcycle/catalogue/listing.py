"""Artifacts and runs as rows of a table, the newest last."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmcycle.artifact import MANIFEST, Artifact, CorruptArtifact, Store
from llmcycle.evaluate.metric import headline
from llmcycle.report.numbers import number, title
from llmcycle.report.record import read_metrics, read_report

ARTIFACTS = ("artifact", "method", "headline", "size", "made", "from", "tags")
RUNS = ("run", "recipe", "arms", "state", "overrides")


def artifact_rows(store: Store) -> list[list[str]]:
    """Header and a row for each artifact; of one that can't be read, only its name."""
    rows, tags = [], store.tags
    for artifact in sorted(store.artifacts(), key=lambda each: (each.folder / MANIFEST).stat().st_mtime_ns):
        named = ", ".join(name for name, place in tags.items() if place.name == artifact.folder.name)
        row = [artifact.folder.name, "unreadable", "", "", "", "", named]
        with suppress(CorruptArtifact, KeyError):
            row = [*_artifact(artifact), named]
        rows.append(row)
    return [list(ARTIFACTS), *rows]


def _artifact(artifact: Artifact) -> list[str]:
    manifest = artifact.glance
    size = number(sum(int(record["size"]) for record in manifest["files"].values()), "bytes")
    inputs = [str(entry.get("id") or entry.get("hub") or entry.get("path")) for entry in manifest["inputs"].values()]
    made, method = str(manifest["created"]).replace("T", " ")[:16], str(manifest.get("method", ""))
    return [artifact.folder.name, method, lead(manifest["metrics"]), size, made, ", ".join(inputs)]


def lead(plain: Mapping[str, Mapping[str, Any]]) -> str:
    """The marked metric of a manifest's and its value; "" where it has none."""
    metrics = read_metrics(plain)
    name = headline(metrics)
    return "" if name is None else f"{title(name, metrics[name])} {number(metrics[name].value, metrics[name].unit)}"


def run_rows(outputs: Path) -> list[list[str]]:
    """Header and a row for each run; a sweep is one, with how many arms it has."""
    reports = [*outputs.glob("*/*/report.json"), *outputs.glob("*/*/*/report.json")]
    by_run: dict[Path, list[Path]] = {}
    for path in sorted(reports, key=lambda path: path.stat().st_mtime_ns):
        arm = (path.parent.parent / "multirun.yaml").exists()
        by_run.setdefault(path.parent.parent if arm else path.parent, []).append(path)
    return [list(RUNS), *(_run(folder, paths) for folder, paths in by_run.items())]


def _run(folder: Path, paths: Sequence[Path]) -> list[str]:
    arms = [read_report(path) for path in paths]
    is_sweep = (folder / "multirun.yaml").exists()
    failed = sum(any(stage["error"] is not None and not stage.get("pruned") for stage in arm["stages"]) for arm in arms)
    state = "finished" if not failed else f"{failed} failed" if is_sweep else "failed"
    shared = [text for text in overrides(arms[0]) if all(text in overrides(arm) for arm in arms)]
    count = str(len(arms)) if is_sweep else ""
    return [os.path.relpath(folder), str(arms[0]["run"]["recipe"]), count, state, " ".join(shared)]


def overrides(report: dict[str, Any]) -> list[str]:
    """What was typed beside the recipe."""
    return [str(text) for text in report["run"]["overrides"]]
