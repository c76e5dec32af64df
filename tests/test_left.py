from __future__ import annotations

import json
from pathlib import Path

from llmcycle import left
from llmcycle.evaluate.scores import Scores, to_show, write_scores


def test_nothing_was_left(tmp_path: Path) -> None:
    assert left.curves(tmp_path) == {}
    assert left.rows(tmp_path / "rollouts.jsonl") == []
    for each in (left.samples, left.memory, left.own_rows, left.choices):
        assert each(tmp_path) == []


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


def test_a_stage_that_trains_says_what_chose_its_weights(tmp_path: Path) -> None:
    (tmp_path / "curves.json").write_text(json.dumps({"points": [{"step": 1}], "resumed": []}))
    (choice,) = left.choices(tmp_path)
    assert (choice["chosen"], choice["by"]) == ("those of the last step", "nothing")
    looks = [{"step": step, "exact_match": step / 50} for step in (0, 25, 50)]
    facts = {"stopped": "no better", "monitor": "exact_match", "rows": 32, "looks": looks, "best": {"step": 25}}
    (tmp_path / "judging.json").write_text(json.dumps(facts))
    weights, steps = left.choices(tmp_path)
    assert tuple(weights.values()) == (
        *("weights", "those of step 25", "2 looks", "exact_match on 32 rows", "other rows"),
    )
    assert (steps["what"], steps["chosen"]) == ("number of steps", "no better")
