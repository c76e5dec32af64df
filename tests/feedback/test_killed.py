"""Labels that were acknowledged outlive the server (50 kills: tests/bench/feedback_kills.py)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from feedback.conftest import items
from labelling import killed

from llmcycle.feedback.items import save


@pytest.mark.slow
def test_kills_lose_no_label(tmp_path: Path) -> None:
    save(items(2000), tmp_path / "items.jsonl")
    tally = killed(tmp_path, kills=2)
    assert tally.acknowledged > 10
    assert (tally.missing, tally.broken) == (0, 0)
    rows = [json.loads(line) for line in (tmp_path / "preferences.jsonl").read_text().splitlines()]
    assert all({"prompt", "chosen", "rejected", "annotator", "time"} <= set(row) for row in rows)
