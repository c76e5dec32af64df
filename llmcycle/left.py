"""What a stage left in its artifact for the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmcycle.evaluate.scores import read_scores


def read(path: Path, otherwise: Any) -> Any:
    """A JSON file, or what stands for one that is not there."""
    return json.loads(path.read_text("utf-8")) if path.exists() else otherwise


def samples(folder: Path) -> list[dict[str, Any]]:
    """The answers to the fixed prompts."""
    path = folder / "samples.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def memory(folder: Path) -> list[dict[str, Any]]:
    """What a stage that trains set its memory beside."""
    memory_rows: list[dict[str, Any]] = read(folder / "memory.json", [])
    return memory_rows


def curves(folder: Path) -> dict[str, Any]:
    """The values that a stage that trains logged over its steps, and the scores of its judge where it had one."""
    logged: dict[str, Any] = read(folder / "curves.json", {})
    return logged and {**logged, "judged": read(folder / "judging.json", {}).get("looks") or []}


def own_rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of the stage's own data with its answers, of the first metric that shows some."""
    return next((shown for each in read_scores(folder).values() if (shown := each.shown)), [])
