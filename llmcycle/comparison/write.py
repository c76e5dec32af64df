"""The comparison's files, and what the terminal shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llmcycle.comparison.plot import draw
from llmcycle.comparison.points import Point, against
from llmcycle.comparison.table import caveats, markdown, rank, reference, rows
from llmcycle.report.sweep import render


def write(folder: Path, metric: str, points: Sequence[Point], wanted: str | None = None) -> str:
    """Write compare.md, compare.json and compare.png into `folder`; gives the text for the terminal.

    Args:
        wanted: the method to compare with; None for full fine-tuning, else the best.

    Raises:
        ValueError: there is no such method.
    """
    base = reference(points, wanted)
    (folder / "compare.md").write_text(markdown(metric, points, base), "utf-8")
    (folder / "compare.json").write_text(json.dumps(plain(metric, points, base), indent=2) + "\n", "utf-8")
    draw(metric, points, folder / "compare.png")
    notes = [f"note: {caveat}" for caveat in caveats(points)]
    return "\n".join([render(rows(metric, points, base)), *notes, f"plot: {folder / 'compare.png'}"])


def plain(metric: str, points: Sequence[Point], base: Point | None) -> dict[str, Any]:
    """The comparison as JSON values, without the rows' own scores."""
    entries = []
    for point in rank(points):
        change = against(point, base) if base else None
        entry = {key: value for key, value in vars(point).items() if key != "scores"}
        entries.append(entry | {"against": asdict(change) if change else None})
    return {"metric": metric, "reference": base.label if base else None, "methods": entries}
