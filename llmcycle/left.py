"""What a stage left in its artifact for the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmcycle.artifact import Artifact
from llmcycle.evaluate.scores import read_scores
from llmcycle.report import StageRecord, read_metrics

ASKED = ("engine.json", "endpoint.json")  # left by a stage that asked a model and wrote none


def record(artifact: Artifact) -> StageRecord:
    """The artifact as a report records it."""
    return StageRecord(
        name=artifact.name,
        method=str(artifact.manifest.get("method", "")),
        artifact_id=artifact.id,
        folder=str(artifact.folder),
        seconds=float(artifact.manifest.get("seconds", 0.0)),
        metrics=read_metrics(artifact.metrics),
        samples=samples(artifact.folder),
        holds_model=not any((artifact.folder / name).exists() for name in ASKED),
        memory=memory(artifact.folder),
        curves=curves(artifact.folder),
        choices=choices(artifact.folder),
        own_rows=own_rows(artifact.folder),
        drawn=rows(artifact.folder / "rollouts.jsonl"),
    )


def read(path: Path, otherwise: Any) -> Any:
    """A JSON file, or what stands for one that is not there."""
    return json.loads(path.read_text("utf-8")) if path.exists() else otherwise


def samples(folder: Path) -> list[dict[str, Any]]:
    """The answers to the fixed prompts."""
    return rows(folder / "samples.jsonl")


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines; none of one that is not there."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def beside(before: list[list[dict[str, Any]]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers after a stage beside those to the same prompts before it, of the first input that has some."""
    earlier = {str(row["prompt"]): row["answer"] for row in next(filter(None, before), [])}
    columns = [(row["prompt"], earlier.get(str(row["prompt"])), row["answer"]) for row in after]
    return [{"prompt": prompt, "before": old, "after": new} for prompt, old, new in columns]


def memory(folder: Path) -> list[dict[str, Any]]:
    """What a stage that trains set its memory beside."""
    memory_rows: list[dict[str, Any]] = read(folder / "memory.json", [])
    return memory_rows


def curves(folder: Path) -> dict[str, Any]:
    """The values that a stage that trains logged over its steps, and the scores of its judge where it had one."""
    logged: dict[str, Any] = read(folder / "curves.json", {})
    judging: dict[str, Any] = read(folder / "judging.json", {})
    followed = {"followed": judging["curve"]} if "curve" in judging else {}
    return logged and {**logged, "judged": judging.get("looks") or [], **followed}


def own_rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of the stage's own data with its answers, of the first metric that shows some."""
    return next((shown for each in read_scores(folder).values() if (shown := each.shown)), [])


def choices(folder: Path) -> list[dict[str, str]]:
    """What the stage chose: {"what", "chosen", "among", "by", "scored_on"}; or that nothing was."""
    best, judging = read(folder / "best.json", {}), read(folder / "judging.json", {})
    chosen = [way_to_ask(best)] if best else []
    if read(folder / "curves.json", {}):
        chosen.append(weights(judging))
    if reason := judging.get("stopped"):
        chosen.append(
            choice("number of steps", reason, "every look", f"callbacks.{judging.get('by', 'early_stopping')}", "")
        )
    return chosen


def way_to_ask(best: dict[str, Any]) -> dict[str, str]:
    """The choice of the prompt stage."""
    chosen = f"{best['template']}, {best['shots']} shots, {best['decoding']}"
    by = f"exact_match on {best['rows_that_choose']} rows"
    return choice("way to ask", chosen, f"{best['among']} ways", by, f"{best['rows_that_score']} other rows")


def weights(judging: dict[str, Any]) -> dict[str, str]:
    """The choice of a judge, where there was one and it kept the best."""
    best, looks = judging.get("best"), judging.get("looks") or []
    if not best:
        return choice("weights", "those of the last step", "", "nothing", "all rows")
    by = f"{judging['monitor']} on {judging['rows']} rows"
    return choice("weights", f"those of step {best['step']}", f"{len(looks) - 1} looks", by, "other rows")


def choice(what: str, chosen: str, among: str, by: str, scored_on: str) -> dict[str, str]:
    """One choice, in words."""
    return {"what": what, "chosen": chosen, "among": among, "by": by, "scored_on": scored_on}
