from __future__ import annotations

import json
from pathlib import Path

from llmcycle import left
from llmcycle.evaluate.scores import Scores, to_show, write_scores


def test_nothing_was_left(tmp_path: Path) -> None:
    assert (left.samples(tmp_path), left.memory(tmp_path), left.curves(tmp_path), left.own_rows(tmp_path)) == (
        [],
        [],
        {},
        [],
    )


def test_curves_have_the_looks_of_the_judge(tmp_path: Path) -> None:
    (tmp_path / "curves.json").write_text(json.dumps({"points": [{"step": 1}], "resumed": []}))
    assert left.curves(tmp_path)["judged"] == []
    (tmp_path / "judging.json").write_text(json.dumps({"looks": [{"step": 0, "exact_match": 0.5}]}))
    assert left.curves(tmp_path)["judged"] == [{"step": 0, "exact_match": 0.5}]


def test_own_rows_are_those_of_the_first_score_that_shows_some(tmp_path: Path) -> None:
    ids = [str(i) for i in range(40)]
    values = [float(i % 4 == 0) for i in range(40)]
    shown = to_show(ids, ids, ids, values, ids)
    assert [row["score"] for row in shown] == [0.0] * 6 + [1.0] * 6, "wrong ones first"
    assert len(to_show(ids, ids, ids, [1.0] * 40, ids)) == 12
    write_scores(tmp_path, {"loss": Scores([1.0], rows=["0"]), "match": Scores(values, rows=ids, shown=shown)})
    assert left.own_rows(tmp_path) == shown
    kept = Scores(values, rows=ids, shown=shown).take([0, 1])
    assert [row["row"] for row in kept.shown or ()] == ["1", "0"]
